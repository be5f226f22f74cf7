package main

import (
	"context"
	"fmt"

	"github.com/berth-iot/berth/internal/client"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// moduleCmd is "berth module".
type moduleCmd struct {
	Add    moduleAddCmd    `cmd:"" help:"Register a module and print its connection string."`
	Show   moduleShowCmd   `cmd:"" help:"Show a module."`
	List   moduleListCmd   `cmd:"" help:"List the modules of a device."`
	Remove moduleRemoveCmd `cmd:"" help:"Remove a module."`
}

// moduleAddCmd is "berth module add".
type moduleAddCmd struct {
	hubFlags
	jsonFlag
	credentialFlags

	Device    string `arg:"" help:"Device id."`
	Module    string `arg:"" help:"Module id."`
	ManagedBy string `placeholder:"NAME" help:"Who manages the module."`
	IfMissing bool   `help:"If the module exists, leave it as it is and print its connection string."`
}

// Run registers the module.
func (c *moduleAddCmd) Run(ctx context.Context, con *console) error {
	if !iot.ValidID(c.Device) || !iot.ValidID(c.Module) {
		return usageError(fmt.Sprintf("%q and %q cannot be a device id and a module id", c.Device, c.Module))
	}
	auth, err := c.authentication()
	if err != nil {
		return err
	}
	hub, err := c.find()
	if err != nil {
		return err
	}
	made, err := hub.CreateModule(ctx, iot.Module{
		DeviceID: c.Device, ModuleID: c.Module, ManagedBy: iot.NullString(c.ManagedBy), Authentication: auth,
	})
	if c.IfMissing && refusedAs(err, fault.ModuleAlreadyExistsOnDevice) {
		made, err = hub.Module(ctx, c.Device, c.Module)
	}
	if err != nil {
		return err
	}
	text := moduleString(hub, made)
	if c.JSON {
		return con.json(moduleAnswer{made, text})
	}
	return con.line("%s", text)
}

// moduleAnswer is a module with what its software is given.
type moduleAnswer struct {
	iot.Module

	ConnectionString string `json:"connectionString"`
}

func moduleString(hub *client.Hub, m iot.Module) string {
	return hub.ConnectionString(iot.Identity{Device: m.DeviceID, Module: m.ModuleID}, m.Authentication).String()
}

// moduleShowCmd is "berth module show".
type moduleShowCmd struct {
	hubFlags
	jsonFlag

	Device string `arg:"" help:"Device id."`
	Module string `arg:"" help:"Module id."`
}

// Run shows the module.
func (c *moduleShowCmd) Run(ctx context.Context, con *console) error {
	hub, err := c.find()
	if err != nil {
		return err
	}
	m, err := hub.Module(ctx, c.Device, c.Module)
	if err != nil {
		return err
	}
	text := moduleString(hub, m)
	if c.JSON {
		return con.json(moduleAnswer{m, text})
	}
	primary, secondary := m.Authentication.Thumbprints()
	return con.fields([][2]string{
		{"device", m.DeviceID},
		{"module", m.ModuleID},
		{"managed by", string(m.ManagedBy)},
		{"connection", string(m.ConnectionState)},
		{"since", when(m.ConnectionStateUpdatedTime)},
		{"last activity", when(m.LastActivityTime)},
		{"authentication", string(m.Authentication.Kind())},
		{"primary thumbprint", primary},
		{"secondary thumbprint", secondary},
		{"generation", m.GenerationID},
		{"etag", m.ETag},
		{"connection string", text},
	})
}

// moduleListCmd is "berth module list".
type moduleListCmd struct {
	hubFlags
	jsonFlag

	Device string `arg:"" help:"Device id."`
}

// Run lists the modules.
func (c *moduleListCmd) Run(ctx context.Context, con *console) error {
	hub, err := c.find()
	if err != nil {
		return err
	}
	modules, err := hub.Modules(ctx, c.Device)
	if err != nil {
		return err
	}
	if c.JSON {
		return con.json(modules)
	}
	rows := make([][]string, 0, len(modules))
	for _, m := range modules {
		rows = append(rows, []string{
			m.ModuleID, string(m.ConnectionState), when(m.LastActivityTime), string(m.Authentication.Kind()), string(m.ManagedBy),
		})
	}
	return con.table([]string{"MODULE", "CONNECTION", "LAST ACTIVITY", "AUTHENTICATION", "MANAGED BY"}, rows)
}

// moduleRemoveCmd is "berth module remove".
type moduleRemoveCmd struct {
	hubFlags
	jsonFlag

	Device    string `arg:"" help:"Device id."`
	Module    string `arg:"" help:"Module id."`
	IfPresent bool   `help:"That the module does not exist is no error."`
}

// Run removes the module.
func (c *moduleRemoveCmd) Run(ctx context.Context, con *console) error {
	hub, err := c.find()
	if err != nil {
		return err
	}
	err = hub.DeleteModule(ctx, c.Device, c.Module)
	missing := c.IfPresent && (refusedAs(err, fault.ModuleNotFound) || refusedAs(err, fault.DeviceNotFound))
	if err != nil && !missing {
		return err
	}
	if c.JSON {
		return con.json(removed{DeviceID: c.Device, ModuleID: c.Module, Removed: !missing})
	}
	return nil
}
