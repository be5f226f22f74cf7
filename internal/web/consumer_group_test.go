package web

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// fakeGroups are consumer groups in memory; "bad name" cannot be one.
type fakeGroups struct{ names []string }

func (g *fakeGroups) List() []iot.ConsumerGroup {
	all := make([]iot.ConsumerGroup, len(g.names))
	for i, name := range g.names {
		all[i] = iot.ConsumerGroup{Name: name}
	}
	return all
}

func (g *fakeGroups) Create(_ context.Context, name string) (iot.ConsumerGroup, error) {
	if name == "bad name" {
		return iot.ConsumerGroup{}, fault.New(fault.ArgumentInvalid, "test.create", "a bad name")
	}
	g.names = append(g.names, name)
	return iot.ConsumerGroup{Name: name}, nil
}

func (g *fakeGroups) Delete(_ context.Context, name string) error {
	for i, have := range g.names {
		if have == name {
			g.names = append(g.names[:i], g.names[i+1:]...)
			return nil
		}
	}
	return fault.New(fault.GroupNotFound, "test.delete", "no such group")
}

func TestConsumerGroups(t *testing.T) {
	f := newFixture(t)
	const path = "/berth/v1/consumer-groups"
	for _, c := range []struct {
		policy, method, path string
		status               int
	}{
		{"service", "GET", path, http.StatusOK},
		{"registryRead", "GET", path, http.StatusOK},
		{"device", "GET", path, http.StatusUnauthorized},
		{"service", "PUT", path + "/g1", http.StatusUnauthorized},
		{"registryReadWrite", "PUT", path + "/g1", http.StatusOK},
		{"iothubowner", "PUT", path + "/bad%20name", http.StatusBadRequest},
		{"service", "DELETE", path + "/g1", http.StatusUnauthorized},
		{"iothubowner", "DELETE", path + "/g1", http.StatusNoContent},
		{"iothubowner", "DELETE", path + "/g1", http.StatusNotFound},
	} {
		if w := f.as(t, c.policy, c.method, c.path, ""); w.Code != c.status {
			t.Errorf("%s %s as %s: %d, want %d: %s", c.method, c.path, c.policy, w.Code, c.status, w.Body)
		}
	}
	var got []iot.ConsumerGroup
	if err := json.Unmarshal(f.as(t, "service", "GET", path, "").Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]iot.ConsumerGroup{{Name: "$Default"}}, got); diff != "" {
		t.Error(diff)
	}
}
