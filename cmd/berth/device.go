package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/berth-iot/berth/internal/client"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// deviceCmd is "berth device".
type deviceCmd struct {
	Add     deviceAddCmd     `cmd:"" help:"Register a device and print its connection string."`
	Show    deviceShowCmd    `cmd:"" help:"Show a device."`
	List    deviceListCmd    `cmd:"" help:"List devices."`
	Update  deviceUpdateCmd  `cmd:"" help:"Change how a device proves itself; its live connection is closed."`
	Enable  deviceEnableCmd  `cmd:"" help:"Let a device connect."`
	Disable deviceDisableCmd `cmd:"" help:"Keep a device out and close its live connection."`
	Remove  deviceRemoveCmd  `cmd:"" help:"Remove a device with its modules."`
}

// credentialFlags say how an identity proves itself.
type credentialFlags struct {
	PrimaryKey     string   `placeholder:"KEY" help:"Primary symmetric key, base64 of 16 to 64 bytes."`
	SecondaryKey   string   `placeholder:"KEY" help:"Secondary symmetric key."`
	X509Thumbprint []string `name:"x509-thumbprint" placeholder:"HEX[,HEX]" help:"SHA-1 or SHA-256 thumbprints of self-signed certificates, primary first."`
	X509CA         bool     `name:"x509-ca" help:"Certificates signed by a CA that the hub knows (see berth ca)."`
}

// authentication gives what the flags ask for; nil: nothing, so the hub makes keys.
func (f credentialFlags) authentication() (*iot.Authentication, error) {
	keys := f.PrimaryKey != "" || f.SecondaryKey != ""
	var a *iot.Authentication
	switch {
	case f.X509CA && (keys || len(f.X509Thumbprint) > 0), keys && len(f.X509Thumbprint) > 0:
		return nil, usageError("keys, --x509-thumbprint and --x509-ca exclude each other")
	case f.X509CA:
		a = &iot.Authentication{Type: iot.AuthenticationCA}
	case len(f.X509Thumbprint) > 2:
		return nil, usageError("--x509-thumbprint takes a primary and a secondary thumbprint, not more")
	case len(f.X509Thumbprint) > 0:
		prints := append(f.X509Thumbprint, "")
		a = &iot.Authentication{Type: iot.AuthenticationSelfSigned, X509Thumbprint: &iot.X509Thumbprint{
			PrimaryThumbprint: thumbprint(prints[0]), SecondaryThumbprint: thumbprint(prints[1]),
		}}
	case keys:
		var err error
		if f.PrimaryKey, f.SecondaryKey, err = bothKeys(f.PrimaryKey, f.SecondaryKey); err != nil {
			return nil, err
		}
		a = symmetric(f.PrimaryKey, f.SecondaryKey)
	}
	if err := a.Check(); err != nil {
		return nil, usageError(err.Error())
	}
	return a, nil
}

// thumbprint takes the colons out, as openssl prints them.
func thumbprint(s string) iot.NullString {
	return iot.NullString(strings.ToUpper(strings.ReplaceAll(strings.TrimSpace(s), ":", "")))
}

func symmetric(primary, secondary string) *iot.Authentication {
	return &iot.Authentication{Type: iot.AuthenticationSAS, SymmetricKey: &iot.SymmetricKey{
		PrimaryKey: iot.NullString(primary), SecondaryKey: iot.NullString(secondary),
	}}
}

// bothKeys makes the key that is missing.
func bothKeys(primary, secondary string) (string, string, error) {
	for _, k := range []*string{&primary, &secondary} {
		if *k == "" {
			fresh, err := newKey()
			if err != nil {
				return "", "", err
			}
			*k = fresh
		}
	}
	return primary, secondary, nil
}

func newKey() (string, error) {
	key := make([]byte, iot.KeySize)
	if _, err := rand.Read(key); err != nil {
		return "", err
	}
	return iot.FormatKey(key), nil
}

// deviceAddCmd is "berth device add".
type deviceAddCmd struct {
	hubFlags
	jsonFlag
	credentialFlags

	ID        string `arg:"" help:"Device id: 1 to 128 of A-Z a-z 0-9 and - : . + % _ # * ? ! ( ) , = @ ; $ '"`
	Edge      bool   `help:"The device is an edge gateway."`
	Disabled  bool   `help:"Keep the device out until it is enabled."`
	IfMissing bool   `help:"If the device exists, leave it as it is and print its connection string."`
}

// Run registers the device.
func (c *deviceAddCmd) Run(ctx context.Context, con *console) error {
	if !iot.ValidID(c.ID) {
		return usageError(fmt.Sprintf("%q cannot be a device id", c.ID))
	}
	auth, err := c.authentication()
	if err != nil {
		return err
	}
	hub, err := c.find()
	if err != nil {
		return err
	}
	d := iot.Device{DeviceID: c.ID, Status: iot.StatusEnabled, Authentication: auth}
	if c.Disabled {
		d.Status = iot.StatusDisabled
	}
	if c.Edge {
		d.Capabilities = &iot.Capabilities{IotEdge: true}
	}
	made, err := hub.CreateDevice(ctx, d)
	if c.IfMissing && refusedAs(err, fault.DeviceAlreadyExists) {
		made, err = hub.Device(ctx, c.ID)
	}
	if err != nil {
		return err
	}
	return con.device(hub, made, c.JSON)
}

// deviceAnswer is a device with what its firmware is given.
type deviceAnswer struct {
	iot.Device

	ConnectionString string `json:"connectionString"`
}

// device prints a connection string alone on its line, or JSON.
func (c *console) device(hub *client.Hub, d iot.Device, asJSON bool) error {
	text := hub.ConnectionString(iot.Identity{Device: d.DeviceID}, d.Authentication).String()
	if asJSON {
		return c.json(deviceAnswer{d, text})
	}
	return c.line("%s", text)
}

// refusedAs reports whether the hub refused with a code.
func refusedAs(err error, code fault.Code) bool {
	return errors.Is(err, &client.RefusedError{Name: code.Name()})
}

// deviceShowCmd is "berth device show".
type deviceShowCmd struct {
	hubFlags
	jsonFlag

	ID string `arg:"" help:"Device id."`
}

// Run shows the device.
func (c *deviceShowCmd) Run(ctx context.Context, con *console) error {
	hub, err := c.find()
	if err != nil {
		return err
	}
	d, err := hub.Device(ctx, c.ID)
	if err != nil {
		return err
	}
	text := hub.ConnectionString(iot.Identity{Device: d.DeviceID}, d.Authentication).String()
	if c.JSON {
		return con.json(deviceAnswer{d, text})
	}
	primary, secondary := d.Authentication.Thumbprints()
	edge := ""
	if d.Capabilities != nil && d.Capabilities.IotEdge {
		edge = "yes"
	}
	return con.fields([][2]string{
		{"device", d.DeviceID},
		{"status", string(d.Status)},
		{"reason", string(d.StatusReason)},
		{"connection", string(d.ConnectionState)},
		{"since", when(d.ConnectionStateUpdatedTime)},
		{"last activity", when(d.LastActivityTime)},
		{"authentication", string(d.Authentication.Kind())},
		{"primary thumbprint", primary},
		{"secondary thumbprint", secondary},
		{"edge gateway", edge},
		{"device scope", d.DeviceScope},
		{"generation", d.GenerationID},
		{"etag", d.ETag},
		{"connection string", text},
	})
}

// deviceListCmd is "berth device list".
type deviceListCmd struct {
	hubFlags
	jsonFlag

	Top int `default:"1000" placeholder:"N" help:"At most so many, 1 to 1000."`
}

// Run lists the devices.
func (c *deviceListCmd) Run(ctx context.Context, con *console) error {
	if c.Top < 1 || c.Top > maxList {
		return usageError("--top must be 1 to 1000")
	}
	hub, err := c.find()
	if err != nil {
		return err
	}
	devices, err := hub.Devices(ctx, c.Top)
	if err != nil {
		return err
	}
	if c.JSON {
		return con.json(devices)
	}
	rows := make([][]string, 0, len(devices))
	for _, d := range devices {
		rows = append(rows, []string{
			d.DeviceID, string(d.Status), string(d.ConnectionState), when(d.LastActivityTime), string(d.Authentication.Kind()),
		})
	}
	if err := con.table([]string{"DEVICE", "STATUS", "CONNECTION", "LAST ACTIVITY", "AUTHENTICATION"}, rows); err != nil {
		return err
	}
	if len(devices) < c.Top {
		return nil
	}
	if s, err := hub.Statistics(ctx); err == nil && s.TotalDeviceCount > int64(len(devices)) {
		con.hint(fmt.Sprintf("%d of %d devices are shown", len(devices), s.TotalDeviceCount))
	}
	return nil
}

// maxList is the most identities that one list answers (service-rest B.1).
const maxList = 1000
