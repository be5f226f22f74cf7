package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/berth-iot/berth/internal/config"
)

// serveCmd starts the hub. Flags override the environment, which overrides the
// configuration file, which overrides the defaults.
type serveCmd struct {
	Config    string   `help:"Configuration file (TOML); \"berth config print\" shows every setting." placeholder:"FILE" type:"existingfile" env:"BERTH_CONFIG"`
	Data      string   `help:"Folder of everything the hub keeps (default ${data})." placeholder:"DIR" env:"BERTH_DATA"`
	Host      []string `help:"Name that clients dial; repeatable, the first is the HostName of connection strings (default localhost)." placeholder:"NAME" env:"BERTH_HOST"`
	Bind      []string `help:"Address to listen at; repeatable (default loopback; 0.0.0.0 and :: are everywhere)." placeholder:"ADDR" env:"BERTH_BIND"`
	MQTTPort  *int     `name:"mqtt-port" help:"Port of MQTT over TLS (default 8883; 0 picks a free one)." placeholder:"PORT" env:"BERTH_MQTT_PORT"`
	AMQPPort  *int     `name:"amqp-port" help:"Port of AMQP over TLS (default 5671)." placeholder:"PORT" env:"BERTH_AMQP_PORT"`
	HTTPSPort *int     `name:"https-port" help:"Port of HTTPS and WebSockets (default 443)." placeholder:"PORT" env:"BERTH_HTTPS_PORT"`
	OpsPort   *int     `name:"ops-port" help:"Port of metrics, health and profiles on loopback (default 9600)." placeholder:"PORT" env:"BERTH_OPS_PORT"`
}

// Run starts the hub and returns when it has stopped.
func (s *serveCmd) Run(ctx context.Context, con *console) error {
	cfg, err := s.settings()
	if err != nil {
		return err
	}
	return serve(ctx, cfg, con)
}

// settings decodes the configuration and lays the flags over it.
func (s *serveCmd) settings() (config.Config, error) {
	cfg := config.Default()
	if s.Config != "" {
		var err error
		if cfg, err = config.Load(s.Config); err != nil {
			return cfg, err
		}
	}
	if s.Data != "" {
		cfg.Data = s.Data
	}
	if len(s.Host) > 0 {
		cfg.Hosts = s.Host
	}
	if len(s.Bind) > 0 {
		cfg.Bind = s.Bind
	}
	for _, port := range []struct {
		flag *int
		to   *int
	}{{s.MQTTPort, &cfg.MQTTPort}, {s.AMQPPort, &cfg.AMQPPort}, {s.HTTPSPort, &cfg.HTTPSPort}, {s.OpsPort, &cfg.OpsPort}} {
		if port.flag != nil {
			*port.to = *port.flag
		}
	}
	if wrong := cfg.Check(); len(wrong) > 0 {
		return cfg, usageError(errors.Join(wrong...).Error())
	}
	return cfg, nil
}

// serve takes the hub through its phases: provision what it keeps, open its ports,
// run until ctx ends, and close everything in reverse.
func serve(ctx context.Context, cfg config.Config, con *console) (err error) {
	dir, err := filepath.Abs(cfg.Data)
	if err != nil {
		return fmt.Errorf("data folder %s: %w", cfg.Data, err)
	}
	cfg.Data = dir
	log := newLogger(cfg.Log, con.err)
	in, err := provision(ctx, cfg, log, con)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.close()) }()
	doors, err := openDoors(ctx, cfg, con)
	if err != nil {
		return err
	}
	defer doors.close()
	return in.run(ctx, doors, con)
}

// newLogger makes the operator's log. Nothing secret is ever given to it.
func newLogger(cfg config.Log, w io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.Level)); err != nil {
		level = slog.LevelInfo // Check has refused anything else
	}
	options := &slog.HandlerOptions{Level: level}
	if cfg.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// makeFolder makes the data folder, for its owner alone.
func makeFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	return nil
}
