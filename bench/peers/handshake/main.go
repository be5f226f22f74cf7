// Command handshake is the bound of what a connect can cost: it accepts, does the TLS 1.3
// handshake and closes. Nothing else is asked of it.
package main

import (
	"crypto/tls"
	"flag"
	"fmt"
	"net"
	"os"
	"time"
)

// handshakeWithin bounds one handshake.
const handshakeWithin = 30 * time.Second

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address to listen at")
	pair := flag.String("pair", "", "PEM file of certificate chain and key")
	flag.Parse()
	if err := serve(*listen, *pair); err != nil {
		fmt.Fprintln(os.Stderr, "handshake:", err)
		os.Exit(1)
	}
}

func serve(listen, pair string) error {
	cert, err := tls.LoadX509KeyPair(pair, pair)
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert}}
	for {
		nc, err := ln.Accept()
		if err != nil {
			return err
		}
		go func() {
			_ = nc.SetDeadline(time.Now().Add(handshakeWithin))
			c := tls.Server(nc, config)
			_ = c.Handshake() // whoever fails counts it on the other side
			_ = c.Close()
		}()
	}
}
