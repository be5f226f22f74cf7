package config

import (
	"fmt"
	"path/filepath"
	"slices"
)

// hostsFile is the JSON of hosts.json.
type hostsFile struct {
	Hosts []string `json:"hosts"`
}

func hostsPath(dir string) string { return filepath.Join(dir, "hosts.json") }

// WriteHosts keeps the host names that the hub last started with, so that connection
// strings can be printed while it does not run. Nothing is written if they are kept
// already: a start on a full disk must not fail over them.
func WriteHosts(dir string, hosts []string) error {
	if kept, err := ReadHosts(dir); err == nil && slices.Equal(kept, hosts) {
		return nil
	}
	if err := writeJSON(hostsPath(dir), hostsFile{Hosts: hosts}); err != nil {
		return fmt.Errorf("write the host names: %w", err)
	}
	return nil
}

// ReadHosts gives the host names that the hub last started with. The error is
// fs.ErrNotExist if none ever did.
func ReadHosts(dir string) ([]string, error) {
	var f hostsFile
	if err := readJSON(hostsPath(dir), &f); err != nil {
		return nil, fmt.Errorf("the host names: %w", err)
	}
	if len(f.Hosts) == 0 {
		return nil, fmt.Errorf("%s: it names no host", hostsPath(dir))
	}
	return f.Hosts, nil
}
