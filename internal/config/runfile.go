package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/berth-iot/berth/internal/file"
)

// Run says how to reach the hub that runs on a data folder. The hub writes it when
// all its ports are open and removes it when it stops; after a crash it stays, so
// what it says may be of the past until somebody has dialled.
type Run struct {
	PID       int       `json:"pid"`
	Started   time.Time `json:"started"`
	Version   string    `json:"version"`
	Hosts     []string  `json:"hosts"`     // as configured; the first is the HostName
	Addresses []string  `json:"addresses"` // the IP addresses it listens at
	MQTTPort  int       `json:"mqttPort"`
	AMQPPort  int       `json:"amqpPort"`
	HTTPSPort int       `json:"httpsPort"`
	OpsPort   int       `json:"opsPort"`
	CA        string    `json:"ca"` // file of the CA to trust; empty with a certificate of one's own
}

// runPath is where a data folder's Run stands.
func runPath(dir string) string { return filepath.Join(dir, "run.json") }

// WriteRun says that a hub runs on the data folder.
func WriteRun(dir string, r Run) error {
	if err := writeJSON(runPath(dir), r); err != nil {
		return fmt.Errorf("write how to reach the hub: %w", err)
	}
	return nil
}

// ReadRun gives how to reach the hub that runs on the data folder. The error is
// fs.ErrNotExist if none does.
func ReadRun(dir string) (Run, error) {
	var r Run
	if err := readJSON(runPath(dir), &r); err != nil {
		return Run{}, fmt.Errorf("how to reach the hub: %w", err)
	}
	if r.HTTPSPort <= 0 || r.HTTPSPort > maxPort || len(r.Hosts) == 0 || len(r.Addresses) == 0 {
		return Run{}, fmt.Errorf("%s: it does not say how to reach the hub", runPath(dir))
	}
	return r, nil
}

// RemoveRun says that no hub runs on the data folder any more.
func RemoveRun(dir string) error {
	err := os.Remove(runPath(dir))
	if err = file.IgnoreMissing(err); err != nil {
		return fmt.Errorf("remove how to reach the hub: %w", err)
	}
	if err := file.SyncDir(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove how to reach the hub: %w", err)
	}
	return nil
}
