package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// bulk answers POST /devices. If an item failed, the result comes with 400 and the
// code in two headers: csharp hands the result to its caller only on the second
// (service-rest B.2).
func (s *Server) bulk(c *call) error {
	body, err := c.body(maxBulkBody, fault.GenericRequestEntityTooLarge)
	if err != nil {
		return err
	}
	items, err := decodeBulk(body)
	if err != nil {
		return err
	}
	ctx, cancel := c.within(callTimeout)
	defer cancel()
	result, err := s.cfg.Population.Bulk(ctx, items)
	if err != nil {
		return err
	}
	if result.IsSuccessful {
		return c.answer(http.StatusOK, result)
	}
	c.tellBulk(result)
	name := fault.BulkRegistryOperationFailure.Name()
	c.header("iothub-errorcode", name)
	c.header("IotHubErrorCode", name)
	return c.answer(http.StatusBadRequest, result)
}

// tellBulk hands every failed item to the resource log.
func (c *call) tellBulk(result iot.BulkResult) {
	if c.s.cfg.Failures == nil {
		return
	}
	for i := range result.Errors {
		e := &result.Errors[i]
		c.s.cfg.Failures.IdentityError(operation(iot.ImportMode(e.Operation)), iot.Identity{Device: e.DeviceID, Module: e.ModuleID},
			c.remote(), fault.New(fault.Code(e.ErrorCode), "web.bulk", "%s", e.ErrorStatus), c.s.now())
	}
}

// operation names an import mode as the resource log does.
func operation(mode iot.ImportMode) string {
	switch mode {
	case iot.ImportCreate:
		return "create"
	case iot.ImportDelete, iot.ImportDeleteIfMatch:
		return "delete"
	default:
		return "update"
	}
}

// decodeBulk reads the items one by one, so that a body of a million tiny ones costs
// no more than the hundred that are allowed.
func decodeBulk(body []byte) ([]iot.BulkItem, error) {
	body = bytes.TrimPrefix(body, []byte("\ufeff"))
	d := json.NewDecoder(bytes.NewReader(body))
	first, err := d.Token()
	if err != nil || first != json.Delim('[') {
		if err == nil && json.Valid(body) {
			return nil, fault.New(fault.ArgumentInvalid, "web.bulk", "the body must be an array of devices")
		}
		var none []json.RawMessage
		return nil, decodeJSON(body, &none)
	}
	var items []iot.BulkItem
	for d.More() {
		if len(items) == iot.MaxBulk {
			return nil, fault.New(fault.TooManyDevices, "web.bulk", "at most %d devices per request", iot.MaxBulk)
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return nil, fault.Wrap(err, fault.IotHubFormatError, "web.bulk", "the body is not JSON")
		}
		var item iot.BulkItem
		if err := decodeJSON(raw, &item); err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	_, last := d.Token() // the bracket
	_, end := d.Token()
	if last != nil || !errors.Is(end, io.EOF) {
		return nil, fault.Wrap(errors.Join(last, end), fault.IotHubFormatError, "web.bulk", "the body is not JSON")
	}
	return items, nil
}

// regenerateKeys answers POST /devices/keys/regenerate: 200 if every item went well,
// 400 if none did, else 207.
func (s *Server) regenerateKeys(c *call) error {
	var k iot.KeyRegeneration
	if err := c.decode(maxKeysBody, &k); err != nil {
		return err
	}
	if err := k.Check(); err != nil {
		return fault.Wrap(err, fault.ArgumentInvalid, "web.regenerate", "%s", err.Error())
	}
	ctx, cancel := c.within(callTimeout)
	defer cancel()
	result, err := s.cfg.Population.RegenerateKeys(ctx, k)
	if err != nil {
		return err
	}
	switch {
	case len(result.Errors) == 0:
		return c.answer(http.StatusOK, result)
	case len(result.RotatedKeys) > 0:
		return c.answer(http.StatusMultiStatus, result)
	}
	c.header("iothub-errorcode", fault.BulkRegenerateDeviceKeyOperationFailure.Name())
	return c.answer(http.StatusBadRequest, result)
}
