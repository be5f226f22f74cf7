package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/berth-iot/berth/internal/iot"
)

// policiesVersion is the version of the policy file's form.
const policiesVersion = 1

// policyFile is the JSON of policies.json.
type policyFile struct {
	Version  int          `json:"version"`
	Policies []policyJSON `json:"policies"`
}

type policyJSON struct {
	Name         string   `json:"name"`
	Rights       []string `json:"rights"`
	PrimaryKey   string   `json:"primaryKey"`
	SecondaryKey string   `json:"secondaryKey"`
}

// OpenPolicies reads the shared access policies of a data folder; a folder that has
// none is given the five of Azure (service-rest A.2) with keys of random, in a file
// that only its owner can read. It holds secrets: no error quotes a key.
func OpenPolicies(dir string, random io.Reader) ([]iot.Policy, error) {
	policies, err := ReadPolicies(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return policies, err
	}
	if policies, err = newPolicies(random); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	file := policyFile{Version: policiesVersion}
	for _, p := range policies {
		file.Policies = append(file.Policies, policyJSON{
			Name: p.Name, Rights: rightNames(p.Rights),
			PrimaryKey: iot.FormatKey(p.Primary), SecondaryKey: iot.FormatKey(p.Secondary),
		})
	}
	if err := writeJSON(policiesPath(dir), file); err != nil {
		return nil, fmt.Errorf("write the shared access policies: %w", err)
	}
	return policies, nil
}

// ReadPolicies reads the shared access policies of a data folder, which hub and
// commands may do at any time. The error is fs.ErrNotExist if no hub ever started
// there.
func ReadPolicies(dir string) ([]iot.Policy, error) {
	path := policiesPath(dir)
	var file policyFile
	if err := readJSON(path, &file); err != nil {
		return nil, fmt.Errorf("the shared access policies: %w", err)
	}
	if file.Version != policiesVersion {
		return nil, fmt.Errorf("%s: version %d is not known to this program", path, file.Version)
	}
	if len(file.Policies) == 0 || len(file.Policies) > maxPolicies {
		return nil, fmt.Errorf("%s: it must hold 1 to %d policies", path, maxPolicies)
	}
	policies := make([]iot.Policy, 0, len(file.Policies))
	seen := make(map[string]bool)
	for _, j := range file.Policies {
		p, err := j.policy()
		if err == nil && seen[p.Name] {
			err = errors.New("it stands twice")
		}
		if err != nil {
			return nil, fmt.Errorf("%s: policy %.64q: %w", path, j.Name, err)
		}
		seen[p.Name] = true
		policies = append(policies, p)
	}
	return policies, nil
}

// policiesPath is where the policies of a data folder stand.
func policiesPath(dir string) string { return filepath.Join(dir, "policies.json") }

// policy checks and decodes one policy of the file.
func (j policyJSON) policy() (iot.Policy, error) {
	p := iot.Policy{Name: j.Name}
	if j.Name == "" || len(j.Name) > 64 {
		return p, errors.New("a policy's name has 1 to 64 characters")
	}
	for _, name := range j.Rights {
		right, ok := rightOf(name)
		if !ok {
			return p, fmt.Errorf("right %.32q is not one of RegistryRead, RegistryWrite, ServiceConnect, DeviceConnect", name)
		}
		p.Rights |= right
	}
	if p.Rights == 0 {
		return p, errors.New("it has no right")
	}
	var err error
	if p.Primary, err = iot.ParseKey(j.PrimaryKey); err != nil {
		return p, fmt.Errorf("primaryKey: %w", err)
	}
	if p.Secondary, err = iot.ParseKey(j.SecondaryKey); err != nil {
		return p, fmt.Errorf("secondaryKey: %w", err)
	}
	return p, nil
}

// newPolicies makes the policies that every Azure hub starts with.
func newPolicies(random io.Reader) ([]iot.Policy, error) {
	policies := []iot.Policy{
		{Name: "iothubowner", Rights: iot.AllRights},
		{Name: "service", Rights: iot.ServiceConnect},
		{Name: "device", Rights: iot.DeviceConnect},
		{Name: "registryRead", Rights: iot.RegistryRead},
		{Name: "registryReadWrite", Rights: iot.RegistryWrite},
	}
	for i := range policies {
		for _, key := range []*[]byte{&policies[i].Primary, &policies[i].Secondary} {
			*key = make([]byte, iot.KeySize)
			if _, err := io.ReadFull(random, *key); err != nil {
				return nil, fmt.Errorf("random key of a shared access policy: %w", err)
			}
		}
	}
	return policies, nil
}

// rightNames lists the rights as the file writes them.
func rightNames(r iot.Right) []string {
	var names []string
	for _, name := range []string{"RegistryRead", "RegistryWrite", "ServiceConnect", "DeviceConnect"} {
		if right, _ := rightOf(name); r.Has(right) {
			names = append(names, name)
		}
	}
	return names
}

// rightOf gives the right of a name.
func rightOf(name string) (iot.Right, bool) {
	switch name {
	case "RegistryRead":
		return iot.RegistryRead, true
	case "RegistryWrite":
		return iot.RegistryWrite, true
	case "ServiceConnect":
		return iot.ServiceConnect, true
	case "DeviceConnect":
		return iot.DeviceConnect, true
	}
	return 0, false
}
