package rig

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// APIVersion is sent with every request that names no other.
const APIVersion = "2021-04-12"

// Response is an answer of the HTTPS API, read whole.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// JSON decodes the body into v and fails the test if it cannot.
func (r Response) JSON(tb testing.TB, v any) {
	tb.Helper()
	if err := json.Unmarshal(r.Body, v); err != nil {
		tb.Fatalf("status %d, body %q: %v", r.Status, r.Body, err)
	}
}

// Want fails the test unless the status is the one given.
func (r Response) Want(tb testing.TB, status int) Response {
	tb.Helper()
	if r.Status != status {
		tb.Fatalf("status %d, want %d; iothub-errorcode %q, body %s", r.Status, status, r.Header.Get("iothub-errorcode"), r.Body)
	}
	return r
}

// HTTPClient gives a client that finds the hub under its name, whatever its address.
func (h *Hub) HTTPClient() *http.Client {
	addr := h.Run.HTTPS
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig:   h.TLS(),
		DisableKeepAlives: true,
		// Whoever sends "Expect: 100-continue" waits for a refusal before the body.
		ExpectContinueTimeout: requestWithin,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, addr)
		},
	}}
}

// Request sends one request with the authority of iothubowner. path may carry a query;
// header is pairs of name and value.
func (h *Hub) Request(method, path, body string, header ...string) Response {
	h.tb.Helper()
	return h.RequestAs(h.OwnerToken(), method, path, body, header...)
}

// RequestAs sends one request with this Authorization, none if empty.
func (h *Hub) RequestAs(token, method, path, body string, header ...string) Response {
	h.tb.Helper()
	res, err := h.TryRequest(h.tb.Context(), token, method, path, body, header...)
	if err != nil {
		h.tb.Fatalf("%s %s: %v", method, path, err)
	}
	return res
}

// TryRequest is RequestAs for whoever expects that the hub may not answer.
func (h *Hub) TryRequest(ctx context.Context, token, method, path, body string, header ...string) (Response, error) {
	ctx, cancel := context.WithTimeout(ctx, requestWithin)
	defer cancel()
	if !strings.Contains(path, "api-version=") {
		sep := "?"
		if strings.Contains(path, "?") {
			sep = "&"
		}
		path += sep + "api-version=" + APIVersion
	}
	req, err := http.NewRequestWithContext(ctx, method, "https://"+Host+path, strings.NewReader(body))
	if err != nil {
		return Response{}, err
	}
	if token != "" {
		req.Header.Set("Authorization", token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json; charset=utf-8")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := h.HTTPClient().Do(req)
	if err != nil {
		return Response{}, err
	}
	defer res.Body.Close() //nolint:errcheck // read only
	b, err := io.ReadAll(io.LimitReader(res.Body, 64<<20))
	return Response{Status: res.StatusCode, Header: res.Header, Body: b}, err
}

// OwnerToken is a token of the policy iothubowner for the whole hub.
func (h *Hub) OwnerToken() string {
	h.tb.Helper()
	return h.PolicyToken("iothubowner")
}

// PolicyToken is a token of a shared access policy for the whole hub.
func (h *Hub) PolicyToken(policy string) string {
	h.tb.Helper()
	fields, err := ParseConnectionString(h.PolicyString(policy))
	if err != nil {
		h.tb.Fatal(err)
	}
	return Token(url.QueryEscape(Host), fields["SharedAccessKey"], policy)
}

// PolicyString is the connection string of a shared access policy, as the command
// line prints it.
func (h *Hub) PolicyString(policy string) string {
	h.tb.Helper()
	if s := h.policies[policy]; s != "" {
		return s
	}
	s := h.Berth("connection-string", "--policy", policy).Must().Line()
	h.policies[policy] = s
	return s
}

// ParseConnectionString splits a connection string into its fields.
func ParseConnectionString(s string) (map[string]string, error) {
	fields := map[string]string{}
	for part := range strings.SplitSeq(s, ";") {
		k, v, ok := strings.Cut(part, "=")
		if !ok {
			return nil, fmt.Errorf("connection string %q: no '=' in %q", s, part)
		}
		fields[k] = v
	}
	if fields["HostName"] == "" {
		return nil, errors.New("connection string without HostName")
	}
	return fields, nil
}
