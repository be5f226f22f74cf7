package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/store"
)

func TestFault(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		code fault.Code
		says string
	}{
		{"full", store.ErrFull, fault.ServiceUnavailable, "not kept"},
		{"closed", store.ErrClosed, fault.ServiceUnavailable, "stopping"},
		{"given up", context.Canceled, fault.ServiceUnavailable, "given up"},
		{"late", context.DeadlineExceeded, fault.ServiceUnavailable, "given up"},
		{"conflict", store.ErrConflict, fault.ServiceUnavailable, "too many"},
		{"corrupt", store.ErrCorrupt, fault.ServerError, "not kept"},
		{"another", errors.New("x"), fault.ServerError, "not kept"},
		{"a fault", fault.New(fault.DeviceNotFound, "test.inner", "no such device"), fault.DeviceNotFound, "no such device"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := store.Fault(fmt.Errorf("write k: %w", c.err), "test.op", "it was not kept")
			if got.Code != c.code || !strings.Contains(got.Error(), c.says) || !errors.Is(got, c.err) {
				t.Errorf("got %v (%v), want %v and %q", got, got.Code, c.code, c.says)
			}
		})
	}
}
