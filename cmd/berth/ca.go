package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/berth-iot/berth/internal/client"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/pki"
)

// caCmd is "berth ca".
type caCmd struct {
	Path   caPathCmd   `cmd:"" help:"Print the path of the hub's own CA certificate, for clients to trust; works whether the hub runs or not."`
	Add    caAddCmd    `cmd:"" help:"Register a CA whose device certificates the hub shall accept."`
	Code   caCodeCmd   `cmd:"" help:"Print a verification code: the CN of the certificate that proves possession of the CA's key."`
	Verify caVerifyCmd `cmd:"" help:"Prove possession with a certificate that the CA signed and whose CN is the verification code."`
	List   caListCmd   `cmd:"" help:"List the registered CAs."`
	Remove caRemoveCmd `cmd:"" help:"Remove a registered CA; devices that rely on it can no longer connect."`
}

// caPathCmd is "berth ca path".
type caPathCmd struct {
	dataFlag
}

// Run prints the path of a file that exists.
func (c *caPathCmd) Run(con *console) error {
	path, err := filepath.Abs(pki.CAPath(c.folder()))
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: none has ever made a CA in the data folder %s", client.ErrNoHub, c.folder())
	} else if err != nil {
		return err
	}
	return con.line("%s", path)
}

// caAddCmd is "berth ca add".
type caAddCmd struct {
	hubFlags
	jsonFlag

	Name    string `arg:"" help:"Name of the CA: 1 to 64 of A-Z a-z 0-9 - _ ."`
	File    string `arg:"" type:"existingfile" help:"The CA's certificate, PEM or DER."`
	Trusted bool   `help:"Skip the proof of possession: accept the CA's device certificates at once."`
}

// Run registers the CA.
func (c *caAddCmd) Run(ctx context.Context, con *console) error {
	if !iot.ValidAuthorityName(c.Name) {
		return usageError("a CA's name is 1 to 64 of A-Z a-z 0-9 - _ . and does not begin with a dot")
	}
	certificate, err := client.ReadCertificate(c.File)
	if err != nil {
		return usageError(err.Error())
	}
	hub, err := c.find()
	if err != nil {
		return err
	}
	a, err := hub.AddAuthority(ctx, c.Name, certificate, c.Trusted)
	if err != nil {
		return err
	}
	if !a.IsVerified && !c.JSON {
		con.hint("not verified yet: sign a certificate whose CN is the output of \"berth ca code " + c.Name + "\", then \"berth ca verify " + c.Name + " FILE\"")
	}
	return con.authority(a, c.JSON)
}

// authority shows one CA.
func (c *console) authority(a iot.Authority, asJSON bool) error {
	if asJSON {
		return c.json(a)
	}
	return c.fields([][2]string{
		{"name", a.Name},
		{"subject", a.Subject},
		{"thumbprint", a.Thumbprint},
		{"valid", when(a.NotBefore) + " to " + when(a.NotAfter)},
		{"verified", yesNo(a.IsVerified)},
	})
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// caCodeCmd is "berth ca code".
type caCodeCmd struct {
	hubFlags
	jsonFlag

	Name string `arg:"" help:"Name of the CA."`
}

// Run makes a new code.
func (c *caCodeCmd) Run(ctx context.Context, con *console) error {
	hub, err := c.find()
	if err != nil {
		return err
	}
	a, err := hub.VerificationCode(ctx, c.Name)
	if err != nil {
		return err
	}
	if c.JSON {
		return con.json(a)
	}
	return con.line("%s", a.VerificationCode)
}

// caVerifyCmd is "berth ca verify".
type caVerifyCmd struct {
	hubFlags
	jsonFlag

	Name string `arg:"" help:"Name of the CA."`
	File string `arg:"" type:"existingfile" help:"The certificate that the CA signed, PEM or DER."`
}

// Run proves possession.
func (c *caVerifyCmd) Run(ctx context.Context, con *console) error {
	certificate, err := client.ReadCertificate(c.File)
	if err != nil {
		return usageError(err.Error())
	}
	hub, err := c.find()
	if err != nil {
		return err
	}
	a, err := hub.VerifyAuthority(ctx, c.Name, certificate)
	if err != nil {
		return err
	}
	return con.authority(a, c.JSON)
}

// caListCmd is "berth ca list".
type caListCmd struct {
	hubFlags
	jsonFlag
}

// Run lists the CAs.
func (c *caListCmd) Run(ctx context.Context, con *console) error {
	hub, err := c.find()
	if err != nil {
		return err
	}
	all, err := hub.Authorities(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return con.json(all)
	}
	rows := make([][]string, 0, len(all))
	for _, a := range all {
		rows = append(rows, []string{a.Name, yesNo(a.IsVerified), when(a.NotAfter), a.Subject})
	}
	return con.table([]string{"NAME", "VERIFIED", "VALID UNTIL", "SUBJECT"}, rows)
}

// caRemoveCmd is "berth ca remove".
type caRemoveCmd struct {
	hubFlags
	jsonFlag

	Name string `arg:"" help:"Name of the CA."`
}

// Run removes the CA.
func (c *caRemoveCmd) Run(ctx context.Context, con *console) error {
	hub, err := c.find()
	if err != nil {
		return err
	}
	if err := hub.RemoveAuthority(ctx, c.Name); err != nil {
		return err
	}
	if c.JSON {
		return con.json(map[string]any{"name": c.Name, "removed": true})
	}
	return nil
}
