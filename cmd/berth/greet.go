package main

import (
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/berth-iot/berth/internal/config"
	"github.com/berth-iot/berth/internal/iot"
)

// greet says that the hub is ready, and what a newcomer needs next. The connection
// strings are shown by the start that made the data folder, on
// standard output: they never reach the log, which is on standard error.
func (in *installation) greet(d *doors, con *console) {
	var b strings.Builder
	fmt.Fprintf(&b, "berth is ready: MQTT on %d, AMQP on %d, HTTPS and WebSockets on %d, metrics on 127.0.0.1:%d\n", d.mqttPort, d.amqpPort, d.httpsPort, d.opsPort)
	fmt.Fprintf(&b, "  host name   %s\n", strings.Join(in.cfg.Hosts, ", "))
	fmt.Fprintf(&b, "  listening   %s", strings.Join(d.addresses, ", "))
	if len(in.cfg.Bind) == 0 {
		b.WriteString(" (loopback; --bind 0.0.0.0 opens it to others)")
	}
	fmt.Fprintf(&b, "\n  data        %s\n", in.cfg.Data)
	if in.cfg.TLS.Cert == "" {
		fmt.Fprintf(&b, "  CA to trust %s\n", in.authority.CAPath())
	}
	if in.first {
		for _, p := range in.policies {
			text := iot.ConnectionString{
				HostName: in.hosts.First(), SharedAccessKeyName: p.Name, SharedAccessKey: iot.FormatKey(p.Primary),
			}
			fmt.Fprintf(&b, "  %-11s %s\n", p.Name, text)
		}
	}
	if name := in.hosts.First(); !strings.Contains(name, ".") {
		if name == "localhost" {
			name = "hub"
		}
		fmt.Fprintf(&b, "Some clients want a host name of two labels. To serve one, start the hub with --host %[1]s.localtest\n"+
			"and add this line to the hosts file of the clients' machine:\n  127.0.0.1 %[1]s.localtest\n", name)
	}
	fmt.Fprintf(&b, "First device: berth device add dev1%s\n", in.dataHint())
	if err := con.line("%s", strings.TrimSuffix(b.String(), "\n")); err != nil {
		in.log.Debug("nobody reads the greeting", slog.Any("err", err))
	}
}

// dataHint is the flag that other commands need to find this hub.
func (in *installation) dataHint() string {
	if in.cfg.Data == config.DefaultDataDir() {
		return ""
	}
	return " --data " + in.cfg.Data
}

// machineNames are the names that the hub answers to beside the configured ones:
// loopback and the machine's own.
func machineNames() []string {
	names := []string{"localhost", "127.0.0.1", "::1"}
	if host, err := os.Hostname(); err == nil && host != "" {
		names = append(names, host)
	}
	return names
}
