package main

import (
	"context"

	"github.com/berth-iot/berth/internal/client"
	"github.com/berth-iot/berth/internal/iot"
)

// connectionStringCmd is "berth connection-string".
type connectionStringCmd struct {
	hubFlags
	jsonFlag

	Policy    string `default:"iothubowner" placeholder:"NAME" help:"Shared access policy: iothubowner, service, device, registryRead, registryReadWrite; works whether the hub runs or not."`
	EventHubs bool   `help:"For readers of events: the connection string of the Event Hubs-compatible endpoint."`
	Device    string `placeholder:"ID" help:"A device instead; asks the running hub."`
	Module    string `placeholder:"ID" help:"With --device: a module of it."`
}

// Run prints the connection string alone on its line.
func (c *connectionStringCmd) Run(ctx context.Context, con *console) error {
	text, err := c.text(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return con.json(map[string]string{"connectionString": text.String()})
	}
	return con.line("%s", text)
}

func (c *connectionStringCmd) text(ctx context.Context) (iot.ConnectionString, error) {
	if c.Device == "" {
		if c.Module != "" {
			return iot.ConnectionString{}, usageError("--module needs --device")
		}
		text, err := client.PolicyString(c.folder(), c.Policy)
		if err != nil || !c.EventHubs {
			return text, err
		}
		return client.EventHubsString(c.folder(), text), nil
	}
	if c.EventHubs {
		return iot.ConnectionString{}, usageError("--event-hubs is for policies: devices do not read events")
	}
	hub, err := c.find()
	if err != nil {
		return iot.ConnectionString{}, err
	}
	id := iot.Identity{Device: c.Device, Module: c.Module}
	if id.IsModule() {
		m, err := hub.Module(ctx, c.Device, c.Module)
		return hub.ConnectionString(id, m.Authentication), err
	}
	d, err := hub.Device(ctx, c.Device)
	return hub.ConnectionString(id, d.Authentication), err
}
