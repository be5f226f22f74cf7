package config

import (
	"os"
	"path/filepath"
	"time"
)

// Config is every setting of the hub. Default gives the values that hold where
// neither file, environment nor flag says otherwise.
type Config struct {
	// Data is the folder of everything the hub keeps.
	Data string `toml:"data"`
	// Hosts are the names clients dial. The first is the HostName of every connection
	// string, and its first label is the hub's name.
	Hosts []string `toml:"hosts"`
	// Bind are the addresses to listen at; empty: loopback (see Config.Listeners).
	Bind []string `toml:"bind"`
	// MQTTPort takes MQTT over TLS. Like the others it may be 0: a free one.
	MQTTPort int `toml:"mqtt_port"`
	// AMQPPort takes AMQP over TLS.
	AMQPPort int `toml:"amqp_port"`
	// HTTPSPort takes HTTPS and WebSockets.
	HTTPSPort int `toml:"https_port"`
	// OpsPort takes metrics, health and profiles, on loopback alone.
	OpsPort int `toml:"ops_port"`

	TLS         TLS         `toml:"tls"`
	SAS         SAS         `toml:"sas"`
	Telemetry   Telemetry   `toml:"telemetry"`
	C2D         C2D         `toml:"c2d"`
	ResourceLog ResourceLog `toml:"resource_log"`
	Diagnosis   Diagnosis   `toml:"diagnosis"`
	Limits      Limits      `toml:"limits"`
	Log         Log         `toml:"log"`
}

// TLS says which certificate the hub shows.
type TLS struct {
	Cert string `toml:"cert"` // PEM file of one's own certificate chain; empty: the private CA's
	Key  string `toml:"key"`  // PEM file of its private key
}

// SAS says how shared access signature tokens are judged.
type SAS struct {
	ClockSkew   Duration `toml:"clock_skew"`   // how long after its end a token still opens a connection
	ExpiryGrace Duration `toml:"expiry_grace"` // how long after its token's end a connection lives on
}

// Telemetry says what is kept of the messages that devices send.
type Telemetry struct {
	Partitions     int      `toml:"partitions"`      // of a new data folder; an existing one keeps its own
	RetentionAge   Duration `toml:"retention_age"`   // messages older than this go
	RetentionBytes Size     `toml:"retention_bytes"` // of each partition; the oldest beyond it go
}

// C2D says how long cloud-to-device messages and the feedback on them wait, and how often
// they are given.
type C2D struct {
	DefaultTTL         Duration `toml:"default_ttl"`         // of a message that names no expiry of its own
	MaxDeliveryCount   int      `toml:"max_delivery_count"`  // abandoned deliveries after which a message is given up
	FeedbackBatch      Duration `toml:"feedback_batch"`      // how long a feedback record waits for others to leave with
	FeedbackTTL        Duration `toml:"feedback_ttl"`        // of a feedback message
	FeedbackLock       Duration `toml:"feedback_lock"`       // how long a back-end may keep one unsettled
	FeedbackDeliveries int      `toml:"feedback_deliveries"` // abandoned deliveries after which one is given up
}

// ResourceLog says what is kept of the resource log.
type ResourceLog struct {
	MaxSize    Size     `toml:"max_size"`    // of one file, before the next begins
	MaxBackups int      `toml:"max_backups"` // files kept beside the current one; 0: any number
	MaxAge     Duration `toml:"max_age"`     // files older than this go; 0: never
	Stdout     bool     `toml:"stdout"`      // write it to standard output too
}

// Diagnosis says whether conflicts between clients of one identity are explained.
type Diagnosis struct {
	Enabled bool `toml:"enabled"` // false: nothing is kept of conflicts, and nobody is told what they were
}

// Limits bound what strangers cost, and what a stopping hub asks of those who come back.
type Limits struct {
	UnauthenticatedPerAddress int      `toml:"unauthenticated_per_address"` // connections of one address that have not proved who they are
	Unauthenticated           int      `toml:"unauthenticated"`             // of all addresses together; beyond it, accepting pauses
	GoodbyeSpread             Duration `toml:"goodbye_spread"`              // over which a stopping hub spreads its goodbyes, at most; 0: all at once
}

// Log says how the hub logs for its operator.
type Log struct {
	Level  string `toml:"level"`  // debug, info, warn, error
	Format string `toml:"format"` // text, json
}

// Default gives the settings of a hub that nobody configured: everything on the
// ports that SDKs have built in, loopback only.
func Default() Config {
	return Config{
		Data:      DefaultDataDir(),
		Hosts:     []string{"localhost"},
		Bind:      []string{},
		MQTTPort:  8883, // SDKs have these built in (reaching-the-hub 1)
		AMQPPort:  5671,
		HTTPSPort: 443,
		OpsPort:   9600,
		SAS: SAS{
			ClockSkew:   Duration(5 * time.Minute),  // Azure accepts an expired token that long
			ExpiryGrace: Duration(10 * time.Minute), // Azure closes at se + 10 min
		},
		Telemetry: Telemetry{
			Partitions:     4,
			RetentionAge:   Duration(24 * time.Hour),
			RetentionBytes: 2_000_000_000,
		},
		C2D: C2D{ // Azure's defaults, but that it gathers feedback for 15 s
			DefaultTTL:         Duration(time.Hour),
			MaxDeliveryCount:   10,
			FeedbackBatch:      Duration(time.Second),
			FeedbackTTL:        Duration(time.Hour),
			FeedbackLock:       Duration(time.Minute),
			FeedbackDeliveries: 10,
		},
		ResourceLog: ResourceLog{
			MaxSize:    100_000_000,
			MaxBackups: 10,
			MaxAge:     Duration(30 * 24 * time.Hour),
		},
		Diagnosis: Diagnosis{Enabled: true},
		Limits: Limits{
			UnauthenticatedPerAddress: 1024,
			Unauthenticated:           2730, // 64 MiB at 24 KiB each (architecture 6)
			GoodbyeSpread:             Duration(3 * time.Second),
		},
		Log: Log{Level: "info", Format: "text"},
	}
}

// DefaultDataDir is the data folder that the hub and the commands use if none is
// named: $XDG_DATA_HOME/berth, else ~/.local/share/berth, else berth-data here.
func DefaultDataDir() string {
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "berth")
	}
	if home, err := os.UserHomeDir(); err == nil && filepath.IsAbs(home) {
		return filepath.Join(home, ".local", "share", "berth")
	}
	return "berth-data"
}
