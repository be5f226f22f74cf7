package client

import (
	"context"
	"net/http"

	"github.com/berth-iot/berth/internal/iot"
)

// CreateModule registers a module; that it exists is a *RefusedError.
func (h *Hub) CreateModule(ctx context.Context, m iot.Module) (iot.Module, error) {
	var made iot.Module
	err := h.Do(ctx, Request{Method: http.MethodPut, Path: modulePath(m.DeviceID, m.ModuleID), Body: m}, &made)
	return made, err
}

// Module reads a module identity.
func (h *Hub) Module(ctx context.Context, device, module string) (iot.Module, error) {
	var m iot.Module
	err := h.Do(ctx, Request{Method: http.MethodGet, Path: modulePath(device, module)}, &m)
	return m, err
}

// Modules lists the modules of a device.
func (h *Hub) Modules(ctx context.Context, device string) ([]iot.Module, error) {
	var ms []iot.Module
	err := h.Do(ctx, Request{Method: http.MethodGet, Path: []string{"devices", device, "modules"}}, &ms)
	return ms, err
}

// DeleteModule removes a module, whatever its etag.
func (h *Hub) DeleteModule(ctx context.Context, device, module string) error {
	return h.Do(ctx, Request{Method: http.MethodDelete, Path: modulePath(device, module), IfMatch: "*"}, nil)
}

func modulePath(device, module string) []string {
	return []string{"devices", device, "modules", module}
}
