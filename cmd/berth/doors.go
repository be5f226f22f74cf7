package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"syscall"

	"github.com/berth-iot/berth/internal/config"
)

// fallbackHTTPS is the port used when 443 may not be bound.
const fallbackHTTPS = 8443

// doors are the bound ports. MQTT is bound last: who can connect to it finds the
// whole hub ready.
type doors struct {
	ops, https, amqp, mqtt                 []net.Listener
	opsPort, httpsPort, amqpPort, mqttPort int
	addresses                              []string
}

func (d *doors) close() {
	for _, all := range [][]net.Listener{d.ops, d.https, d.amqp, d.mqtt} {
		for _, ln := range all {
			_ = ln.Close() // most are closed already by whoever served them
		}
	}
}

// openDoors binds every port, or none.
func openDoors(ctx context.Context, cfg config.Config, con *console) (_ *doors, err error) {
	d := &doors{}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	loopback := []config.Listener{{Addr: netip.AddrFrom4([4]byte{127, 0, 0, 1})}}
	if d.ops, d.opsPort, err = bind(ctx, loopback, cfg.OpsPort, "ops-port"); err != nil {
		return nil, err
	}
	where := cfg.Listeners()
	d.https, d.httpsPort, err = bind(ctx, where, cfg.HTTPSPort, "https-port")
	if cfg.HTTPSPort == 443 && errors.Is(err, os.ErrPermission) {
		con.hint(privilegeAdvice())
		d.https, d.httpsPort, err = bind(ctx, where, fallbackHTTPS, "https-port")
	}
	if err != nil {
		return nil, err
	}
	if d.amqp, d.amqpPort, err = bind(ctx, where, cfg.AMQPPort, "amqp-port"); err != nil {
		return nil, err
	}
	if d.mqtt, d.mqttPort, err = bind(ctx, where, cfg.MQTTPort, "mqtt-port"); err != nil {
		return nil, err
	}
	for _, ln := range d.mqtt {
		if addr, err := netip.ParseAddrPort(ln.Addr().String()); err == nil {
			d.addresses = append(d.addresses, addr.Addr().String())
		}
	}
	return d, nil
}

// bindTries bounds the search for one free port on several addresses.
const bindTries = 20

// bind listens at every address on one port; port 0 is a port free on all of them.
func bind(ctx context.Context, where []config.Listener, port int, flag string) ([]net.Listener, int, error) {
	var err error
	for range bindTries {
		var all []net.Listener
		var got int
		all, got, err = bindAll(ctx, where, port)
		if err == nil {
			return all, got, nil
		}
		if port != 0 || !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, 0, fmt.Errorf("%w: stop what uses the port, or choose another with --%s", err, flag)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, 0, fmt.Errorf("%w: --bind needs an address of this machine", err)
	}
	return nil, 0, err
}

func bindAll(ctx context.Context, where []config.Listener, port int) (all []net.Listener, got int, err error) {
	defer func() {
		if err != nil {
			for _, ln := range all {
				_ = ln.Close() // the error that matters is the other one
			}
		}
	}()
	var lc net.ListenConfig
	got = port
	for _, w := range where {
		network := "tcp6"
		if w.Addr.Is4() {
			network = "tcp4"
		}
		ln, err := lc.Listen(ctx, network, net.JoinHostPort(w.Addr.String(), strconv.Itoa(got)))
		if err != nil {
			if w.Optional && !errors.Is(err, syscall.EADDRINUSE) && !errors.Is(err, os.ErrPermission) {
				continue
			}
			return all, 0, err
		}
		all = append(all, ln)
		if addr, err := netip.ParseAddrPort(ln.Addr().String()); err == nil {
			got = int(addr.Port())
		}
	}
	if len(all) == 0 {
		return nil, 0, errors.New("no address to listen at")
	}
	return all, got, nil
}

// privilegeAdvice says how to allow port 443, and what the other port cannot do.
func privilegeAdvice() string {
	exe, err := os.Executable()
	if err != nil {
		exe = "berth"
	}
	allow := "run it with the right to bind ports below 1024"
	if runtime.GOOS == "linux" {
		allow = "sudo setcap cap_net_bind_service=+ep " + exe +
			"\n  or, for every program:  sudo sysctl net.ipv4.ip_unprivileged_port_start=443"
	}
	return fmt.Sprintf("port 443 may not be bound by this user; using %d instead. To allow 443:\n  %s\n"+
		"Until then these do not reach the hub, because they have 443 built in: SDKs over MQTT or AMQP WebSockets "+
		"(MqttWs, AmqpWs), service SDKs (azure-iothub), devices over HTTPS, az iot. MQTT on 8883 and every berth command do.",
		fallbackHTTPS, allow)
}
