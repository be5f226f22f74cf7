package main

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/berth-iot/berth/internal/bench"
)

// loadFlags say whom the load goes to. Without --target it is the hub.
type loadFlags struct {
	hubFlags
	jsonFlag
	fleetFlags

	MQTTAddress string       `name:"mqtt-address" placeholder:"HOST:PORT" help:"Where the hub takes MQTT, if it is not known: the port is in the data folder, else 8883."`
	AMQPAddress string       `name:"amqp-address" placeholder:"HOST:PORT" help:"Where the hub takes AMQP, if it is not known: the port is in the data folder, else 5671."`
	Source      []netip.Addr `placeholder:"ADDR" help:"Local addresses to connect from, in turn, for more than 28,000 connections (127.0.0.2,127.0.0.3)."`

	Target     string `placeholder:"HOST:PORT" help:"Any MQTT 3.1.1 server instead of a hub; nothing is registered."`
	Plain      bool   `help:"With --target: plain TCP instead of TLS."`
	TLSCA      string `name:"tls-ca" type:"existingfile" placeholder:"FILE" help:"With --target: certificates to trust (PEM)."`
	ServerName string `placeholder:"NAME" help:"With --target: the name its certificate must have."`
	Insecure   bool   `name:"insecure-skip-verify" help:"With --target: do not check its certificate."`
	Username   string `placeholder:"TEXT" help:"With --target: user name; {n} and {id} stand for the device's number and id."`
	Password   string `env:"BERTH_BENCH_PASSWORD" placeholder:"TEXT" help:"With --target: password; better given as BERTH_BENCH_PASSWORD."`
	Topic      string `default:"bench/{id}" help:"With --target: topic to publish to; {n} and {id} as in --username."`
}

// open gives the target, and the devices to register there, which are none at a
// foreign server.
func (c *loadFlags) open() (*bench.Target, *fleet, error) {
	if c.Target != "" {
		target, err := c.foreign()
		return target, &fleet{fleetFlags: c.fleetFlags}, err
	}
	hub, err := c.find()
	if err != nil {
		return nil, nil, err
	}
	f := &fleet{fleetFlags: c.fleetFlags, hub: hub}
	address := hub.MQTTAddress()
	if c.MQTTAddress != "" {
		address = c.MQTTAddress
	}
	return &bench.Target{Address: address, TLS: hub.TLS(), Sources: c.Source, Account: f.account, PID: c.PID}, f, nil
}

// openAMQP is open over AMQP, which a hub alone speaks.
func (c *loadFlags) openAMQP() (*bench.Target, *fleet, error) {
	if c.Target != "" {
		return nil, nil, usageError("over AMQP the load goes to a hub, not to --target")
	}
	target, fleet, err := c.open()
	if err != nil {
		return nil, nil, err
	}
	target.Address = cmp.Or(c.AMQPAddress, fleet.hub.AMQPAddress())
	target.Protocol, target.Account, target.Service = bench.AMQP, fleet.amqpAccount, fleet.service
	return target, fleet, nil
}

// foreign gives a target that is any MQTT server.
func (c *loadFlags) foreign() (*bench.Target, error) {
	host, _, err := net.SplitHostPort(c.Target)
	if err != nil {
		return nil, usageError("--target must be host:port")
	}
	t := &bench.Target{Address: c.Target, Sources: c.Source, PID: c.PID, Account: c.foreignAccount}
	if c.Plain {
		return t, nil
	}
	t.TLS = &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12, InsecureSkipVerify: c.Insecure} //nolint:gosec // asked for by a flag that says so
	if c.ServerName != "" {
		t.TLS.ServerName = c.ServerName
	}
	if c.TLSCA != "" {
		text, err := os.ReadFile(c.TLSCA)
		if err != nil {
			return nil, err
		}
		t.TLS.RootCAs = x509.NewCertPool()
		if !t.TLS.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s holds no certificate", c.TLSCA)
		}
	}
	return t, nil
}

// foreignAccount is the nth client of a server that is no hub.
func (c *loadFlags) foreignAccount(n int) (bench.Account, error) {
	id := c.id(n)
	fill := strings.NewReplacer("{n}", strconv.Itoa(n), "{id}", id)
	a := bench.Account{ClientID: id, Username: fill.Replace(c.Username), Topic: fill.Replace(c.Topic)}
	a.Filter = a.Topic + "/in"
	if c.Password != "" {
		a.Password = []byte(c.Password)
	}
	return a, nil
}
