package client

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"strconv"

	"github.com/berth-iot/berth/internal/config"
	"github.com/berth-iot/berth/internal/iot"
)

// owner is the policy that the command line uses in a data folder.
const owner = "iothubowner"

// place is where the hub of a data folder can be reached.
type place struct {
	names []string // host names, the first the HostName
	https string   // host:port
	mqtt  string   // host:port
	amqp  string   // host:port
	ca    string   // file to trust; empty: the system's roots
}

// readPlace says where the hub that runs on a data folder listens; ErrNoHub if none
// does.
func readPlace(dir string) (place, error) {
	run, err := config.ReadRun(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return place{}, fmt.Errorf("%w with the data folder %s", ErrNoHub, dir)
	}
	if err != nil {
		return place{}, err
	}
	address := dialable(run.Addresses)
	return place{
		names: run.Hosts,
		https: net.JoinHostPort(address, strconv.Itoa(run.HTTPSPort)),
		mqtt:  net.JoinHostPort(address, strconv.Itoa(run.MQTTPort)),
		amqp:  net.JoinHostPort(address, strconv.Itoa(run.AMQPPort)),
		ca:    run.CA,
	}, nil
}

// dialable chooses among the addresses that a hub listens at: loopback, which a hub
// that listens everywhere has too, else the first.
func dialable(addresses []string) string {
	for _, text := range addresses {
		switch a, err := netip.ParseAddr(text); {
		case err != nil:
		case a.IsLoopback():
			return text
		case a == netip.IPv4Unspecified():
			return "127.0.0.1"
		case a == netip.IPv6Unspecified():
			return "::1"
		}
	}
	return addresses[0]
}

// PolicyString is the connection string of a shared access policy of a data folder,
// whether its hub runs or not. ErrNoHub if none ever started there.
func PolicyString(dir, policy string) (iot.ConnectionString, error) {
	key, err := policyKey(dir, policy)
	if err != nil {
		return iot.ConnectionString{}, err
	}
	hosts, err := config.ReadHosts(dir)
	if err != nil {
		return iot.ConnectionString{}, neverStarted(dir, err)
	}
	return iot.ConnectionString{HostName: hosts[0], SharedAccessKeyName: policy, SharedAccessKey: iot.FormatKey(key)}, nil
}

// EventHubsString makes of a policy's connection string that of the Event Hubs-compatible
// endpoint. A port other than the standard's is named in it while a hub runs on the folder.
func EventHubsString(dir string, policy iot.ConnectionString) iot.ConnectionString {
	host := policy.HostName
	if run, err := config.ReadRun(dir); err == nil && run.AMQPPort != amqpPort && run.AMQPPort != 0 {
		host = net.JoinHostPort(host, strconv.Itoa(run.AMQPPort))
	}
	return iot.ConnectionString{
		Endpoint: "sb://" + host + "/", SharedAccessKeyName: policy.SharedAccessKeyName, SharedAccessKey: policy.SharedAccessKey,
		EntityPath: iot.NewHosts(policy.HostName).Hub(),
	}
}

// policyKey gives the primary key of a policy.
func policyKey(dir, name string) ([]byte, error) {
	policies, err := config.ReadPolicies(dir)
	if err != nil {
		return nil, neverStarted(dir, err)
	}
	for _, p := range policies {
		if p.Name == name {
			return p.Primary, nil
		}
	}
	return nil, fmt.Errorf("the hub has no shared access policy named %q", name)
}

// neverStarted says that a file of the data folder is missing because no hub made it.
func neverStarted(dir string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: none has ever started with the data folder %s", ErrNoHub, dir)
	}
	return err
}
