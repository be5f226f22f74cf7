package rig

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
)

// RunFile is run.json, where a running hub names its process and its addresses.
type RunFile struct {
	PID   int
	MQTT  string // address:port
	AMQP  string // address:port
	HTTPS string // address:port
	Ops   string // address:port
}

func readRunFile(dir string) (RunFile, error) {
	b, err := os.ReadFile(filepath.Join(dir, "run.json")) //nolint:gosec // the test's own folder
	if err != nil {
		return RunFile{}, err
	}
	var run struct {
		PID       int      `json:"pid"`
		Addresses []string `json:"addresses"`
		MQTTPort  int      `json:"mqttPort"`
		AMQPPort  int      `json:"amqpPort"`
		HTTPSPort int      `json:"httpsPort"`
		OpsPort   int      `json:"opsPort"`
	}
	if err := json.Unmarshal(b, &run); err != nil {
		return RunFile{}, err
	}
	if len(run.Addresses) == 0 {
		return RunFile{}, fmt.Errorf("run.json names no address: %s", b)
	}
	at := func(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }
	return RunFile{
		PID: run.PID, MQTT: at(run.Addresses[0], run.MQTTPort), AMQP: at(run.Addresses[0], run.AMQPPort), HTTPS: at(run.Addresses[0], run.HTTPSPort),
		Ops: at("127.0.0.1", run.OpsPort),
	}, nil
}
