package client

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// CreateDevice registers a device; that it exists is a *RefusedError.
func (h *Hub) CreateDevice(ctx context.Context, d iot.Device) (iot.Device, error) {
	return h.putDevice(ctx, d, "")
}

// ReplaceDevice writes a device over the one whose etag d carries, or over any if
// d has none.
func (h *Hub) ReplaceDevice(ctx context.Context, d iot.Device) (iot.Device, error) {
	etag := d.ETag
	if etag == "" {
		etag = "*"
	}
	return h.putDevice(ctx, d, etag)
}

func (h *Hub) putDevice(ctx context.Context, d iot.Device, ifMatch string) (iot.Device, error) {
	var made iot.Device
	err := h.Do(ctx, Request{Method: http.MethodPut, Path: []string{"devices", d.DeviceID}, IfMatch: ifMatch, Body: d}, &made)
	return made, err
}

// Device reads a device identity.
func (h *Hub) Device(ctx context.Context, id string) (iot.Device, error) {
	var d iot.Device
	err := h.Do(ctx, Request{Method: http.MethodGet, Path: []string{"devices", id}}, &d)
	return d, err
}

// Devices lists identities in the order of their ids, at most top, which is 1 to 1000.
func (h *Hub) Devices(ctx context.Context, top int) ([]iot.Device, error) {
	var ds []iot.Device
	query := url.Values{"top": {strconv.Itoa(top)}}
	err := h.Do(ctx, Request{Method: http.MethodGet, Path: []string{"devices"}, Query: query}, &ds)
	return ds, err
}

// DeleteDevice removes a device with its modules, whatever its etag.
func (h *Hub) DeleteDevice(ctx context.Context, id string) error {
	return h.Do(ctx, Request{Method: http.MethodDelete, Path: []string{"devices", id}, IfMatch: "*"}, nil)
}

// Bulk carries out at most iot.MaxBulk items. When items fail the result says
// which, beside the *RefusedError.
func (h *Hub) Bulk(ctx context.Context, items []iot.BulkItem) (iot.BulkResult, error) {
	var r iot.BulkResult
	body, err := h.call(ctx, Request{Method: http.MethodPost, Path: []string{"devices"}, Body: items})
	if err != nil {
		if e, ok := errors.AsType[*RefusedError](err); ok && e.Name == fault.BulkRegistryOperationFailure.Name() {
			err = errors.Join(err, decode(body, &r)) // the refusal of a bulk request has the shape of its success (service-rest B.2)
		}
		return r, err
	}
	return r, decode(body, &r)
}

// Statistics counts the devices.
func (h *Hub) Statistics(ctx context.Context) (iot.DeviceStatistics, error) {
	var s iot.DeviceStatistics
	err := h.Do(ctx, Request{Method: http.MethodGet, Path: []string{"statistics", "devices"}}, &s)
	return s, err
}
