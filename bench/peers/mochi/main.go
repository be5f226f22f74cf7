// Command mochi is a mochi-mqtt broker in memory behind TLS, set up to be fast: nobody is
// refused, nothing is stored, and no bound of its own slows a client.
package main

import (
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"os/signal"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address to listen at")
	pair := flag.String("pair", "", "PEM file of certificate chain and key")
	flag.Parse()
	if err := serve(*listen, *pair); err != nil {
		fmt.Fprintln(os.Stderr, "mochi:", err)
		os.Exit(1)
	}
}

func serve(listen, pair string) error {
	cert, err := tls.LoadX509KeyPair(pair, pair)
	if err != nil {
		return err
	}
	capabilities := mqtt.NewDefaultServerCapabilities()
	capabilities.ReceiveMaximum = math.MaxUint16
	capabilities.MaximumInflight = math.MaxUint16
	server := mqtt.New(&mqtt.Options{Capabilities: capabilities, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err := server.AddHook(new(auth.AllowHook), nil); err != nil {
		return err
	}
	tcp := listeners.NewTCP(listeners.Config{
		ID: "tls", Address: listen,
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert}},
	})
	if err := server.AddListener(tcp); err != nil {
		return err
	}
	if err := server.Serve(); err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt)
	<-stop
	return server.Close()
}
