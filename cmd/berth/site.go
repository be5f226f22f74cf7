package main

import (
	"github.com/berth-iot/berth/internal/amqp"
	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/mqtt"
	"github.com/berth-iot/berth/internal/telemetry"
	"github.com/berth-iot/berth/internal/web"
)

// site is what the HTTPS and operators' ports are made of.
func (in *installation) site(devices *mqtt.Server, peers *amqp.Server, ready func() error) web.Config {
	cfg := web.Config{
		Identities: in.registry, Population: in.registry, Authorities: in.registry,
		Gate: in.registry, Sender: in.hub, Commands: in.queues, Events: events{in.telemetry}, Groups: in.groups, ResourceLog: in.reslog, Failures: in.reslog,
		Connected: func() int64 { return int64(in.presence.Connected()) },
		Sockets: map[string]web.Socket{
			"mqtt":      {Transport: device.MQTTWS, Serve: devices.Serve},
			"amqpwsb10": {Transport: device.AMQPWS, Serve: peers.Serve},
			"amqp":      {Transport: device.AMQPWS, Serve: peers.Serve}, // azeventhubs, in its examples
		},
		About: web.About{
			Version: thisBuild().Version, Name: in.hosts.Hub(), Hosts: in.cfg.Hosts,
			Partitions: in.cfg.Telemetry.Partitions, Started: in.started,
		},
		Registry: in.metrics,
		Ready:    ready,
		Logger:   in.log,
	}
	if in.diagnosis != nil {
		cfg.Diagnosis = in.diagnosis // not a typed nil
	}
	return cfg
}

// events shows the telemetry log to a transport.
type events struct{ log *telemetry.Log }

// Ends gives, by partition, the sequence its next event will have.
func (e events) Ends() []uint64 {
	infos := e.log.Partitions()
	ends := make([]uint64, len(infos))
	for i, p := range infos {
		if !p.Empty {
			ends[i] = p.Last + 1
		}
	}
	return ends
}

// Reader reads one partition from a place on.
func (e events) Reader(partition int, start device.Start) (device.EventReader, error) {
	r, err := e.log.Reader(partition, start)
	if err != nil {
		return nil, err // not a typed nil
	}
	return r, nil
}

// Partitions says where each partition stands.
func (e events) Partitions() []device.Partition {
	infos := e.log.Partitions()
	all := make([]device.Partition, len(infos))
	for i, p := range infos {
		all[i] = device.Partition{Empty: p.Empty, First: p.First, Last: p.Last, LastOffset: p.LastOffset, LastEnqueued: p.LastEnqueued}
	}
	return all
}
