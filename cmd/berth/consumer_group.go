package main

import (
	"context"

	"github.com/berth-iot/berth/internal/iot"
)

// consumerGroupCmd is "berth consumer-group".
type consumerGroupCmd struct {
	List   groupListCmd   `cmd:"" help:"List the consumer groups."`
	Create groupCreateCmd `cmd:"" help:"Make a consumer group."`
	Delete groupDeleteCmd `cmd:"" help:"Remove a consumer group; who reads for it goes on."`
}

// groupListCmd is "berth consumer-group list".
type groupListCmd struct {
	hubFlags
	jsonFlag
}

// Run lists the consumer groups.
func (c *groupListCmd) Run(ctx context.Context, con *console) error {
	hub, err := c.find()
	if err != nil {
		return err
	}
	groups, err := hub.ConsumerGroups(ctx)
	if err != nil {
		return err
	}
	return con.groups(groups, c.JSON)
}

// groupName is the name of a consumer group.
type groupName struct {
	Name string `arg:"" help:"Name of the consumer group: 1 to 50 letters, digits, '.', '-' and '_'."`
}

// groupCreateCmd is "berth consumer-group create".
type groupCreateCmd struct {
	hubFlags
	jsonFlag
	groupName
}

// Run makes the consumer group.
func (c *groupCreateCmd) Run(ctx context.Context, con *console) error {
	hub, err := c.find()
	if err != nil {
		return err
	}
	group, err := hub.CreateConsumerGroup(ctx, c.Name)
	if err != nil {
		return err
	}
	if c.JSON {
		return con.json(group)
	}
	return con.groups([]iot.ConsumerGroup{group}, false)
}

// groupDeleteCmd is "berth consumer-group delete".
type groupDeleteCmd struct {
	hubFlags
	groupName
}

// Run removes the consumer group.
func (c *groupDeleteCmd) Run(ctx context.Context, _ *console) error {
	hub, err := c.find()
	if err != nil {
		return err
	}
	return hub.DeleteConsumerGroup(ctx, c.Name)
}

// groups shows consumer groups.
func (c *console) groups(groups []iot.ConsumerGroup, asJSON bool) error {
	if asJSON {
		return c.json(groups)
	}
	rows := make([][]string, len(groups))
	for i, g := range groups {
		rows[i] = []string{g.Name, moment(g.Created)}
	}
	return c.table([]string{"NAME", "CREATED"}, rows)
}
