package main

import (
	"context"

	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// deviceUpdateCmd is "berth device update".
type deviceUpdateCmd struct {
	hubFlags
	jsonFlag
	credentialFlags

	ID           string  `arg:"" help:"Device id."`
	NewKeys      bool    `help:"Replace both symmetric keys by random ones."`
	SwapKeys     bool    `help:"Exchange primary and secondary key."`
	StatusReason *string `placeholder:"TEXT" help:"Why the device has its status, at most 128 characters."`
}

// Run changes the device, unless another change came first.
func (c *deviceUpdateCmd) Run(ctx context.Context, con *console) error {
	auth, err := c.authentication()
	if err != nil {
		return err
	}
	if c.NewKeys && (c.SwapKeys || auth != nil) || c.SwapKeys && auth != nil {
		return usageError("--new-keys, --swap-keys and other credentials exclude each other")
	}
	if !c.NewKeys && !c.SwapKeys && auth == nil && c.StatusReason == nil {
		return usageError("nothing to change: name a credential, --new-keys, --swap-keys or --status-reason")
	}
	return changeDevice(ctx, con, c.hubFlags, c.jsonFlag, c.ID, func(d *iot.Device) error {
		if c.StatusReason != nil {
			d.StatusReason = iot.NullString(*c.StatusReason)
		}
		return c.credentials(d, auth)
	})
}

// credentials applies what the flags ask for.
func (c *deviceUpdateCmd) credentials(d *iot.Device, auth *iot.Authentication) error {
	primary, secondary := d.Authentication.Keys()
	var err error
	switch {
	case c.SwapKeys && (primary == "" || secondary == ""):
		return usageError("the device has no two keys to swap")
	case c.SwapKeys:
		auth = symmetric(secondary, primary)
	case c.NewKeys:
		if primary, secondary, err = bothKeys("", ""); err != nil {
			return err
		}
		auth = symmetric(primary, secondary)
	case auth != nil && auth.SymmetricKey != nil: // the key that was not named stays
		if c.PrimaryKey == "" && primary != "" {
			auth.SymmetricKey.PrimaryKey = iot.NullString(primary)
		}
		if c.SecondaryKey == "" && secondary != "" {
			auth.SymmetricKey.SecondaryKey = iot.NullString(secondary)
		}
	}
	if auth != nil {
		d.Authentication = auth
	}
	return nil
}

// changeDevice reads a device, changes it, and writes it if nobody else has in the
// meantime.
func changeDevice(ctx context.Context, con *console, at hubFlags, form jsonFlag, id string, change func(*iot.Device) error) error {
	hub, err := at.find()
	if err != nil {
		return err
	}
	d, err := hub.Device(ctx, id)
	if err != nil {
		return err
	}
	if err := change(&d); err != nil {
		return err
	}
	if d, err = hub.ReplaceDevice(ctx, d); err != nil {
		return err
	}
	return con.device(hub, d, form.JSON)
}

// deviceEnableCmd is "berth device enable".
type deviceEnableCmd struct {
	hubFlags
	jsonFlag

	ID string `arg:"" help:"Device id."`
}

// Run enables the device and forgets why it was disabled.
func (c *deviceEnableCmd) Run(ctx context.Context, con *console) error {
	return changeDevice(ctx, con, c.hubFlags, c.jsonFlag, c.ID, func(d *iot.Device) error {
		d.Status, d.StatusReason = iot.StatusEnabled, ""
		return nil
	})
}

// deviceDisableCmd is "berth device disable".
type deviceDisableCmd struct {
	hubFlags
	jsonFlag

	ID     string `arg:"" help:"Device id."`
	Reason string `placeholder:"TEXT" help:"Why, at most 128 characters."`
}

// Run disables the device.
func (c *deviceDisableCmd) Run(ctx context.Context, con *console) error {
	return changeDevice(ctx, con, c.hubFlags, c.jsonFlag, c.ID, func(d *iot.Device) error {
		d.Status, d.StatusReason = iot.StatusDisabled, iot.NullString(c.Reason)
		return nil
	})
}

// deviceRemoveCmd is "berth device remove".
type deviceRemoveCmd struct {
	hubFlags
	jsonFlag

	ID        string `arg:"" help:"Device id."`
	IfPresent bool   `help:"That the device does not exist is no error."`
}

// removed answers a removal.
type removed struct {
	DeviceID string `json:"deviceId"`
	ModuleID string `json:"moduleId,omitempty"`
	Removed  bool   `json:"removed"` // false: it was not there
}

// Run removes the device.
func (c *deviceRemoveCmd) Run(ctx context.Context, con *console) error {
	hub, err := c.find()
	if err != nil {
		return err
	}
	err = hub.DeleteDevice(ctx, c.ID)
	missing := c.IfPresent && refusedAs(err, fault.DeviceNotFound)
	if err != nil && !missing {
		return err
	}
	if c.JSON {
		return con.json(removed{DeviceID: c.ID, Removed: !missing})
	}
	return nil
}
