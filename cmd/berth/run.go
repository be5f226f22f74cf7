package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/berth-iot/berth/internal/amqp"
	"github.com/berth-iot/berth/internal/config"
	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/mqtt"
	"github.com/berth-iot/berth/internal/park"
	"github.com/berth-iot/berth/internal/pki"
	"github.com/berth-iot/berth/internal/web"
)

const (
	// stopWithin is how long a stopping hub waits for conversations and requests.
	stopWithin = 15 * time.Second
	// renewEvery is how often the private CA's server certificates are looked at.
	renewEvery = 12 * time.Hour
	// watchEvery is how often the files of a certificate of one's own are.
	watchEvery = 2 * time.Second
)

// run serves on the open doors until ctx ends or a listener fails, then says
// goodbye to everybody.
func (in *installation) run(ctx context.Context, d *doors, con *console) error {
	var ids atomic.Uint64
	door, err := park.NewDoor(park.DoorConfig{
		Lot: in.lot, Logger: in.log,
		MaxArriving: in.cfg.Limits.Unauthenticated, MaxArrivingPerAddress: in.cfg.Limits.UnauthenticatedPerAddress,
	})
	if err != nil {
		return err
	}
	devices, err := mqtt.New(mqtt.Config{Core: in.hub, Door: door, Logger: in.log})
	if err != nil {
		return err
	}
	peers, err := amqp.New(amqp.Config{
		Core: in.hub, Gate: in.registry, Door: door, Hosts: in.aliases, Port: d.amqpPort,
		Commands: in.queues, Queues: in.queues, Events: events{in.telemetry}, Groups: in.groups, Created: in.groups.Born(), Skew: in.cfg.SAS.ClockSkew.Std(), Logger: in.log,
	})
	if err != nil {
		return err
	}
	if err := in.metrics.Register(peers); err != nil {
		return err
	}
	var stopping atomic.Bool
	site, err := web.New(in.site(devices, peers, func() error { //nolint:contextcheck // its requests get their context from Serve
		if stopping.Load() {
			return errors.New("the hub is stopping")
		}
		return nil
	}))
	if err != nil {
		return err
	}

	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServing()
	listening, stopListening := context.WithCancelCause(serving)
	defer stopListening(nil)
	var loops sync.WaitGroup
	loop := func(what string, serve func() error) {
		loops.Go(func() {
			if err := serve(); err != nil {
				stopListening(fmt.Errorf("%s: %w", what, err))
			}
		})
	}
	webTLS, streamTLS := in.authority.TLSConfig("http/1.1", "http/1.0"), in.authority.TLSConfig()
	for _, ln := range d.ops {
		loop("operators' port", func() error { return site.ServeOps(serving, ln) })
	}
	for _, ln := range d.https {
		loop("https", func() error { return site.Serve(serving, ln, door, handshake(webTLS, device.HTTPS, &ids)) })
	}
	for _, ln := range d.amqp {
		loop("amqp", func() error { return peers.Listen(listening, ln, handshake(streamTLS, device.AMQP, &ids)) })
	}
	for _, ln := range d.mqtt {
		loop("mqtt", func() error { return devices.Listen(listening, ln, handshake(streamTLS, device.MQTT, &ids)) })
	}
	loop("certificates", func() error { in.renew(listening); return nil })
	if err := config.WriteRun(in.cfg.Data, in.runFile(d)); err != nil {
		return err
	}
	in.greet(d, con)

	select {
	case <-ctx.Done():
	case <-listening.Done():
	}
	stopping.Store(true)
	in.log.Info("stopping", slog.String("reason", context.Cause(firstEnded(ctx, listening)).Error()))
	failure := context.Cause(listening)
	stopListening(nil)
	err = in.goodbye(site) //nolint:contextcheck // ctx has ended; goodbye has a time limit of its own
	loops.Wait()
	return errors.Join(failure, err)
}

// firstEnded is the context that has ended.
func firstEnded(a, b context.Context) context.Context {
	if a.Err() != nil {
		return a
	}
	return b
}

// goodbye ends every conversation and answers the requests in hand. What devices
// were promised is flushed when the services close after it.
func (in *installation) goodbye(site *web.Server) error {
	within, cancel := context.WithTimeoutCause(context.Background(), stopWithin,
		fmt.Errorf("some connections had not ended after %s and were cut", stopWithin))
	defer cancel()
	var lot error
	var wg sync.WaitGroup
	wg.Go(func() { lot = in.lot.Shutdown(within) })
	err := site.Shutdown(within)
	wg.Wait()
	return errors.Join(lot, err, config.RemoveRun(in.cfg.Data))
}

// renew reads the certificates again now and then, when the files of a certificate of
// one's own have changed, and on SIGHUP.
func (in *installation) renew(ctx context.Context) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	daily, watch := time.NewTicker(renewEvery), time.NewTicker(watchEvery)
	defer daily.Stop()
	defer watch.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-daily.C:
		case <-hangup:
		case <-watch.C:
			if !in.authority.Changed() {
				continue
			}
		}
		if err := in.authority.Reload(); err != nil {
			in.log.Error("the server certificates could not be read again; going on with the present ones", slog.Any("err", err))
			continue
		}
		in.log.Info("the server certificates were read again")
	}
}

// handshake makes our side of TLS: the connection, its facts and the client's
// certificates.
func handshake(cfg *tls.Config, transport device.Transport, ids *atomic.Uint64) park.Handshake {
	return func(ctx context.Context, nc net.Conn) (net.Conn, *device.Conn, []*x509.Certificate, error) {
		facts := factsOf(nc, transport, ids.Add(1))
		conn, told, err := pki.Handshake(ctx, nc, cfg)
		if err != nil {
			return nil, nil, nil, err
		}
		facts.TLS = told
		return conn, facts, pki.Certificates(conn), nil
	}
}

// factsOf is what an accepted socket tells of its connection.
func factsOf(nc net.Conn, transport device.Transport, id uint64) *device.Conn {
	return &device.Conn{
		ID: id, Transport: transport, Accepted: time.Now(),
		Listener: nc.LocalAddr().String(), Remote: addrOf(nc.RemoteAddr()), Local: addrOf(nc.LocalAddr()),
		Kernel: device.Kernel(nc),
	}
}

func addrOf(a net.Addr) netip.AddrPort {
	addr, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
}

// runFile says how to reach this hub.
func (in *installation) runFile(d *doors) config.Run {
	r := config.Run{
		PID: os.Getpid(), Started: in.started, Version: thisBuild().Version, Hosts: in.cfg.Hosts,
		Addresses: d.addresses, MQTTPort: d.mqttPort, AMQPPort: d.amqpPort, HTTPSPort: d.httpsPort, OpsPort: d.opsPort,
	}
	if in.cfg.TLS.Cert == "" {
		r.CA = in.authority.CAPath()
	}
	return r
}

// stdout is where the resource log's copy goes.
func stdout() io.Writer { return os.Stdout }
