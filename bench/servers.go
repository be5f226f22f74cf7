package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// readyWithin bounds the start of a server.
const readyWithin = 30 * time.Second

// startBerth starts a hub with a data folder of its own, on free ports.
func startBerth(ctx context.Context, dir string) (*server, error) {
	data := filepath.Join(dir, "berth")
	cmd := exec.CommandContext(ctx, "bin/berth", "serve", "--data", data, //nolint:gosec // our own binary
		"--mqtt-port", "0", "--amqp-port", "0", "--https-port", "0", "--ops-port", "0")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start berth (make build makes it): %w", err)
	}
	s := &server{name: "berth", cmd: cmd, args: []string{"--data", data}}
	err := until(ctx, func() error {
		b, err := os.ReadFile(filepath.Join(data, "run.json")) //nolint:gosec // a folder of our own
		if err != nil {
			return err
		}
		return json.Unmarshal(b, &struct{}{})
	})
	if err != nil {
		s.stop()
		return nil, fmt.Errorf("berth did not start: %w", err)
	}
	return s, nil
}

// startMosquitto starts Debian's Mosquitto as it comes, in memory, behind the same
// certificate as the hub.
func startMosquitto(ctx context.Context, dir string) (*server, error) {
	exe, err := exec.LookPath("mosquitto")
	if err != nil {
		exe = "/usr/sbin/mosquitto" // not on everybody's path
	}
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	pair := filepath.Join(dir, "berth", "pki", "server-ecdsa.pem")
	conf := filepath.Join(dir, "mosquitto.conf")
	text := fmt.Sprintf("listener %d 127.0.0.1\ncertfile %s\nkeyfile %s\nallow_anonymous true\nset_tcp_nodelay true\npersistence false\n"+
		"max_inflight_messages 0\nmax_queued_messages 0\nuser root\nlog_type error\n", port, pair, pair)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, exe, "-c", conf) //nolint:gosec // the peer that is measured
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start Mosquitto (apt-get install mosquitto): %w", err)
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	s := &server{name: "mosquitto", cmd: cmd, args: []string{
		"--target", address, "--tls-ca", filepath.Join(dir, "berth", "pki", "ca.pem"), "--server-name", "localhost",
	}}
	err = until(ctx, func() error {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return c.Close()
	})
	if err != nil {
		s.stop()
		return nil, fmt.Errorf("the peer did not start: %w", err)
	}
	return s, nil
}

// until tries again until it succeeds.
func until(ctx context.Context, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		}
	}
}

func freePort(ctx context.Context) (int, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	_, text, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		return 0, err
	}
	port, err := strconv.Atoi(text)
	return port, errors.Join(err, ln.Close())
}
