package web

import (
	"context"
	"errors"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// send answers POST /devices/{id}/messages/events and the module's: one message, on
// stable storage before the 204. It does not claim the identity, so it disturbs no
// connection that holds it.
func (s *Server) send(c *call) error {
	c.does, c.size = "ingress", int(max(c.r.ContentLength, 0))
	if batch(c.r.Header.Get("Content-Type")) {
		return fault.New(fault.GenericUnsupportedMediaType, "web.send",
			"this version of Berth takes no batches over HTTPS: send one message per request, its body as it is")
	}
	props, err := properties(c.r.Header)
	if err != nil {
		return err
	}
	limit := int64(maxMessage - len(props))
	if limit < 0 {
		return fault.New(fault.MessageTooLarge, "web.send", "the message is larger than %d bytes", maxMessage)
	}
	body, err := c.body(limit, fault.MessageTooLarge)
	if err != nil {
		return err
	}
	c.size = len(props) + len(body)
	ctx, cancel := c.within(appendTimeout)
	defer cancel()
	err = s.cfg.Sender.Send(ctx, c.proof.Stamp, iot.Raw{Source: iot.SourceHeaders, Props: props, Body: body})
	if errors.Is(err, context.DeadlineExceeded) {
		return fault.Wrap(err, fault.ServiceUnavailable, "web.send", "the message could not be stored in time, try again")
	}
	if err != nil {
		return err
	}
	return c.nothing()
}

// batch reports whether a content type is that of several messages in one body.
func batch(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		media, _, _ = strings.Cut(contentType, ";")
	}
	return strings.EqualFold(strings.TrimSpace(media), batchType)
}

// properties gathers the headers that say something of the message, in the order of
// their names; of a header that stands twice the last counts.
func properties(h http.Header) ([]byte, error) {
	var props []byte
	var err error
	for _, name := range slices.Sorted(maps.Keys(h)) {
		values := h[name]
		value := values[len(values)-1]
		if !utf8.ValidString(value) {
			value = strings.ToValidUTF8(value, "\uFFFD")
		}
		if props, err = iot.AppendHeader(props, name, value); err != nil {
			return nil, fault.Wrap(err, fault.ArgumentInvalid, "web.send", "%s", err.Error())
		}
	}
	return props, nil
}
