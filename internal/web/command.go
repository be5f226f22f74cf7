package web

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

const opCommand = "web.command"

// purgeCommands answers DELETE /devices/{id}/commands: all that is pending for the device
// goes, its modules' messages stay (service-rest B.7).
func (s *Server) purgeCommands(c *call) error {
	ctx, cancel := c.within(callTimeout)
	defer cancel()
	n, err := s.cfg.Commands.Purge(ctx, c.match.id)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, iot.PurgeResult{
		DeviceID: c.match.id.Device, ModuleID: iot.NullString(c.match.id.Module), TotalMessagesPurged: n,
	})
}

// sendCommand answers POST /devices/{id}/messages/deviceBound and POST
// /messages/deviceBound, where iothub-to names the addressee: one message, on stable
// storage before the 204.
func (s *Server) sendCommand(c *call) error {
	m, err := command(c.r.Header)
	if err != nil {
		return err
	}
	id := c.match.id
	if id.Device == "" {
		var ok bool
		if id, ok = iot.ParseDevicebound(m.To); !ok {
			return fault.New(fault.ArgumentInvalid, opCommand, "iothub-to is not /devices/{id}/messages/devicebound")
		}
		c.match.id = id // whom the answer is about
	} else if m.To == "" {
		m.To = "/devices/" + iot.Escape(id.Device) + "/messages/deviceBound"
	}
	if m.Body, err = c.body(iot.MaxCloudMessage, fault.MessageTooLarge); err != nil {
		return err
	}
	ctx, cancel := c.within(appendTimeout)
	defer cancel()
	err = s.cfg.Commands.Send(ctx, id, &m)
	if errors.Is(err, context.DeadlineExceeded) {
		return fault.Wrap(err, fault.ServiceUnavailable, opCommand, "the message could not be stored in time, try again")
	}
	if err != nil {
		return err
	}
	return c.nothing()
}

// command reads what the headers say of a message. Application properties come in the
// order of their names, and their names in lower case: HTTP keeps neither.
func command(h http.Header) (iot.CloudMessage, error) {
	var m iot.CloudMessage
	var expiry, created iot.Time
	for _, name := range slices.Sorted(maps.Keys(h)) {
		values := h[name]
		value := values[len(values)-1]
		if !utf8.ValidString(value) {
			return m, fault.New(fault.ArgumentInvalid, opCommand, "the header %.64q is not UTF-8", name)
		}
		lower := strings.ToLower(name)
		if field := commandText(&m, lower); field != nil {
			*field = value
			continue
		}
		var err error
		switch lower {
		case "iothub-expiry":
			err = expiry.UnmarshalText([]byte(value))
		case "iothub-creationtimeutc":
			err = created.UnmarshalText([]byte(value))
		case "iothub-ack":
			m.Ack, err = iot.ParseAck(value)
		default:
			if property, ok := strings.CutPrefix(lower, "iothub-app-"); ok && property != "" {
				m.Application = append(m.Application, iot.Property{Name: property, Value: value})
			}
		}
		if err != nil {
			return m, fault.Wrap(err, fault.ArgumentInvalid, opCommand, "%s: %s", lower, err.Error())
		}
	}
	m.Expiry, m.Created = expiry.Time, created.Time
	return m, nil
}

// commandText is the field of a message that a header gives as it stands; nil if it is
// another header.
func commandText(m *iot.CloudMessage, header string) *string {
	switch header {
	case "iothub-messageid":
		return &m.MessageID
	case "iothub-correlationid":
		return &m.CorrelationID
	case "iothub-userid":
		return &m.UserID
	case "iothub-to":
		return &m.To
	case "iothub-contenttype":
		return &m.ContentType
	case "iothub-contentencoding":
		return &m.ContentEncoding
	}
	return nil
}
