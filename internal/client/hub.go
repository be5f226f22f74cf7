package client

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/berth-iot/berth/internal/file"
	"github.com/berth-iot/berth/internal/iot"
)

// The ports that clients of a hub use unless told otherwise.
const (
	httpsPort = 443
	mqttPort  = 8883
	amqpPort  = 5671
)

// Options say which hub to talk to.
type Options struct {
	Login string // connection string of a shared access policy; empty: Data's iothubowner
	Data  string // the hub's data folder
	CA    string // file of certificates to trust; empty: the CA in Data if the hub is that of Data, else the system's
}

// Hub is a running hub, as far as that can be known before it is called.
type Hub struct {
	// fixed

	name    string // HostName, lower case, without port
	policy  string
	key     []byte // secret
	address string // host:port of HTTPS, to dial
	mqtt    string // host:port of MQTT
	amqp    string // host:port of AMQP
	tls     *tls.Config
	http    *http.Client
}

// Find gives the hub that o says. Without a login it is the hub that runs in the data
// folder: ErrNoHub if none does. With a login whose host name is that of the hub
// running in the data folder, it is reached where that one listens, so that names
// need not resolve.
func Find(o Options) (*Hub, error) {
	if o.Login != "" {
		return findLogin(o)
	}
	local, err := readPlace(o.Data)
	if err != nil {
		return nil, err
	}
	key, err := policyKey(o.Data, owner)
	if err != nil {
		return nil, err
	}
	h := &Hub{name: local.names[0], policy: owner, key: key, address: local.https, mqtt: local.mqtt, amqp: local.amqp}
	return h, h.trust(cmp.Or(o.CA, local.ca))
}

// findLogin gives the hub of a connection string. Its HostName may carry the port of
// HTTPS.
func findLogin(o Options) (*Hub, error) {
	c, err := iot.ParseConnectionString(o.Login)
	if err != nil {
		return nil, err
	}
	if c.SharedAccessKeyName == "" || c.SharedAccessKey == "" || c.HostName == "" {
		return nil, errors.New("the connection string must be that of a shared access policy: HostName, SharedAccessKeyName and SharedAccessKey")
	}
	key, err := iot.ParseKey(c.SharedAccessKey)
	if err != nil {
		return nil, fmt.Errorf("SharedAccessKey: %w", err)
	}
	host, port := c.HostName, strconv.Itoa(httpsPort)
	if h, p, err := net.SplitHostPort(host); err == nil {
		host, port = h, p
	}
	h := &Hub{
		name: strings.ToLower(host), policy: c.SharedAccessKeyName, key: key,
		address: net.JoinHostPort(host, port), mqtt: net.JoinHostPort(host, strconv.Itoa(mqttPort)), amqp: net.JoinHostPort(host, strconv.Itoa(amqpPort)),
	}
	ca := o.CA
	if local, err := readPlace(o.Data); err == nil && iot.NewHosts(local.names...).Has(h.name) {
		h.mqtt, h.amqp, ca = local.mqtt, local.amqp, cmp.Or(ca, local.ca)
		if host == c.HostName { // no port of its own
			h.address = local.https
		}
	}
	return h, h.trust(ca)
}

// trust makes the TLS configuration and the HTTP client. ca is a file of certificates
// to trust besides the system's; empty: none.
func (h *Hub) trust(ca string) error {
	roots, err := trusted(ca)
	if err != nil {
		return err
	}
	h.tls = &tls.Config{ServerName: h.name, RootCAs: roots, MinVersion: tls.VersionTLS12}
	dialer := &net.Dialer{Timeout: dialTimeout}
	h.http = &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return dialer.DialContext(ctx, network, h.address)
			},
			TLSClientConfig:     h.TLS(),
			TLSHandshakeTimeout: dialTimeout,
			MaxIdleConnsPerHost: maxIdle,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // a token goes nowhere else
	}
	return nil
}

// trusted gives the system's roots and those of a file.
func trusted(path string) (*x509.CertPool, error) {
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if path == "" {
		return roots, nil
	}
	text, err := file.Read(path)
	if err != nil {
		return nil, fmt.Errorf("read the CA: %w", err)
	}
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate", path)
	}
	return roots, nil
}

// HostName is the hub's name as clients write it.
func (h *Hub) HostName() string { return h.name }

// Address is where HTTPS is dialled, host:port.
func (h *Hub) Address() string { return h.address }

// MQTTAddress is where MQTT is dialled, host:port.
func (h *Hub) MQTTAddress() string { return h.mqtt }

// AMQPAddress is where AMQP is dialled, host:port.
func (h *Hub) AMQPAddress() string { return h.amqp }

// PlainLogin is what SASL PLAIN takes for the hub's policy: a token for the whole hub that
// lasts so long, which is a secret.
func (h *Hub) PlainLogin(lasts time.Duration) (user string, token []byte) {
	user = h.policy + "@sas.root." + iot.NewHosts(h.name).Hub()
	return user, []byte(iot.SignSAS(h.name, h.policy, h.key, time.Now().Add(lasts)))
}

// TLS is how the hub's certificate is checked; the caller may change it.
func (h *Hub) TLS() *tls.Config { return h.tls.Clone() }

// Derive gives 32 bytes that only holders of the policy's key can make, the same for
// the same label. A label holds no line feed, so that it is never what a token signs.
func (h *Hub) Derive(label string) []byte {
	m := hmac.New(sha256.New, h.key)
	m.Write([]byte(strings.ReplaceAll(label, "\n", " ")))
	return m.Sum(nil)
}

// ConnectionString is what a device or module with these credentials is given.
func (h *Hub) ConnectionString(id iot.Identity, a *iot.Authentication) iot.ConnectionString {
	c := iot.ConnectionString{HostName: h.name, DeviceID: id.Device, ModuleID: id.Module}
	if a.Kind() == iot.AuthenticationSAS {
		c.SharedAccessKey, _ = a.Keys()
	} else {
		c.X509 = true
	}
	return c
}
