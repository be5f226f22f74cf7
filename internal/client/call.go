package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/berth-iot/berth/internal/iot"
)

// apiVersion is sent with every call: the one the current service SDKs send.
const apiVersion = "2021-04-12"

// Request is one call of the service API or of Berth's own.
type Request struct {
	Method  string
	Path    []string // segments, not escaped
	Query   url.Values
	IfMatch string // "*" or an etag without quotes; empty: none is sent
	Body    any    // sent as JSON; nil: none
}

// Do carries out a request and decodes the answer into out, unless out is nil. A
// *json.RawMessage takes the answer as it is.
func (h *Hub) Do(ctx context.Context, r Request, out any) error {
	body, err := h.call(ctx, r)
	if err != nil || out == nil {
		return err
	}
	return decode(body, out)
}

// call carries out a request. A refusal is a *RefusedError, and the body beside it.
func (h *Hub) call(ctx context.Context, r Request) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	answer, err := h.send(ctx, r, "application/json")
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	if err = errors.Join(err, answer.Body.Close()); err != nil {
		return nil, fmt.Errorf("read the hub's answer: %w", err)
	}
	if len(body) > maxAnswer {
		return nil, fmt.Errorf("the hub's answer is longer than %d bytes", maxAnswer)
	}
	if answer.StatusCode/100 != 2 {
		return body, refusal(answer.StatusCode, answer.Header, body)
	}
	return body, nil
}

func decode(body []byte, out any) error {
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("the hub's answer is not as expected: %w", err)
	}
	return nil
}

// send signs and sends a request; whoever gets the answer closes its body.
func (h *Hub) send(ctx context.Context, r Request, accept string) (*http.Response, error) {
	var body io.Reader
	if r.Body != nil {
		text, err := json.Marshal(r.Body)
		if err != nil {
			return nil, fmt.Errorf("encode the request: %w", err)
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, h.url(r), body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", iot.SignSAS(h.name, h.policy, h.key, time.Now().Add(tokenLife)))
	req.Header.Set("Accept", accept)
	if r.Body != nil {
		req.Header.Set("Content-Type", "application/json; charset=utf-8")
	}
	if r.IfMatch != "" {
		req.Header.Set("If-Match", `"`+r.IfMatch+`"`) // quoted, also "*" (service-rest A.7)
	}
	answer, err := h.http.Do(req)
	if err != nil {
		return nil, h.unreached(err)
	}
	return answer, nil
}

// url gives the request's address. Every segment is escaped on its own: an id may
// hold '%', '#' and '?'.
func (h *Hub) url(r Request) string {
	var b strings.Builder
	b.WriteString("https://" + h.name)
	for _, segment := range r.Path {
		b.WriteString("/" + url.PathEscape(segment))
	}
	query := url.Values{"api-version": {apiVersion}}
	maps.Copy(query, r.Query)
	return b.String() + "?" + query.Encode()
}

// unreached says in one sentence why no answer came. The request's address is
// dropped from the error: the reader knows the hub by its name.
func (h *Hub) unreached(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w: nothing listens at %s", ErrNoHub, h.address)
	case errors.Is(err, context.Canceled):
		return err
	}
	return fmt.Errorf("reach the hub %s at %s: %w", h.name, h.address, err)
}
