package iot

import (
	"errors"
	"fmt"
	"strings"
)

// MaxConnectionString is the longest connection string that is read, in bytes.
const MaxConnectionString = 4096

// ConnectionString is what a client is given to reach the hub: as a device or
// module, as a back-end (SharedAccessKeyName), or as a reader of the event endpoint
// (Endpoint, EntityPath).
type ConnectionString struct {
	HostName            string
	DeviceID            string
	ModuleID            string
	SharedAccessKeyName string
	SharedAccessKey     string // secret: base64, not checked here
	X509                bool   // the client proves itself by a certificate
	GatewayHostName     string
	Endpoint            string // "sb://host/", in place of HostName
	EntityPath          string
}

// ParseConnectionString reads "Key=Value;Key=Value". Keys match without regard to
// case and each may occur once; unknown keys are ignored; a value is all after the
// first '=', up to the next ';' (so an id that holds ';', which ValidID permits,
// cannot stand in one). Its errors never quote a value.
func ParseConnectionString(text string) (ConnectionString, error) {
	var c ConnectionString
	if len(text) > MaxConnectionString {
		return c, fmt.Errorf("connection string: longer than %d bytes", MaxConnectionString)
	}
	seen := make(map[string]bool)
	for pair := range strings.SplitSeq(strings.TrimSpace(text), ";") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		key, value, ok := strings.Cut(pair, "=")
		if !ok {
			return ConnectionString{}, errors.New("connection string: a part has no '='; write Key=Value;Key=Value")
		}
		name := strings.ToLower(strings.TrimSpace(key))
		if seen[name] {
			return ConnectionString{}, fmt.Errorf("connection string: %.32q stands twice", name)
		}
		seen[name] = true
		if err := c.set(name, strings.TrimSpace(value)); err != nil {
			return ConnectionString{}, err
		}
	}
	if c.HostName == "" && c.Endpoint == "" {
		return ConnectionString{}, errors.New("connection string: HostName is missing")
	}
	if c.ModuleID != "" && c.DeviceID == "" {
		return ConnectionString{}, errors.New("connection string: ModuleId without DeviceId")
	}
	return c, nil
}

// set stores one value under its lower-case key.
func (c *ConnectionString) set(name, value string) error {
	switch name {
	case "hostname":
		c.HostName = value
	case "deviceid":
		c.DeviceID = value
	case "moduleid":
		c.ModuleID = value
	case "sharedaccesskeyname":
		c.SharedAccessKeyName = value
	case "sharedaccesskey":
		c.SharedAccessKey = value
	case "gatewayhostname":
		c.GatewayHostName = value
	case "endpoint":
		c.Endpoint = value
	case "entitypath":
		c.EntityPath = value
	case "x509":
		switch strings.ToLower(value) {
		case "true":
			c.X509 = true
		case "false":
		default:
			return errors.New("connection string: x509 must be true or false")
		}
	}
	return nil
}

// String writes the parts that are set, in the order Azure writes them. It holds
// the key: it is for the one who asked for it, never for a log.
func (c ConnectionString) String() string {
	var b strings.Builder
	add := func(key, value string) {
		if value == "" {
			return
		}
		if b.Len() > 0 {
			b.WriteByte(';')
		}
		b.WriteString(key)
		b.WriteByte('=')
		b.WriteString(value)
	}
	add("Endpoint", c.Endpoint)
	add("HostName", c.HostName)
	add("DeviceId", c.DeviceID)
	add("ModuleId", c.ModuleID)
	add("SharedAccessKeyName", c.SharedAccessKeyName)
	add("SharedAccessKey", c.SharedAccessKey)
	if c.X509 {
		add("x509", "true")
	}
	add("EntityPath", c.EntityPath)
	add("GatewayHostName", c.GatewayHostName)
	return b.String()
}

// Identity is the device or module the string speaks for; empty for a back-end.
func (c ConnectionString) Identity() Identity {
	return Identity{Device: c.DeviceID, Module: c.ModuleID}
}
