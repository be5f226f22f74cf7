package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// call is one request on its way through the server. It belongs to one goroutine.
type call struct {
	s     *Server
	w     *recorder
	r     *http.Request
	query url.Values
	match match
	id    tracking
	long  bool         // the answer is a stream or a WebSocket: its time says nothing
	shape shape        // of an error's body
	does  string       // operation for the resource log: "get", "create", "update", "delete", "ingress"; empty: none
	size  int          // bytes of a message, as far as known
	proof device.Proof // who sends, once authenticated; device API only

	caller   string // a policy, or an identity on whose behalf somebody sends; once authorized
	reserved int64  // bytes of the body, in Server.crowd
}

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter

	status int // 0 until the header is written
}

// WriteHeader notes the status.
func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write notes that the answer has begun.
func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController and the WebSocket upgrade reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// within bounds a call into a service.
func (c *call) within(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(c.r.Context(), d)
}

// host is the name the client dialled, without a port.
func (c *call) host() string {
	if h, _, err := net.SplitHostPort(c.r.Host); err == nil {
		return h
	}
	return c.r.Host
}

// header sets a header with its name as the real hub spells it.
func (c *call) header(name, value string) { c.w.Header()[name] = []string{value} }

// answer writes a JSON document.
func (c *call) answer(status int, v any) error {
	return c.bytes(status, plainJSON(v))
}

// tagged writes an identity with its etag in the header too: only device identities
// have it there (service-rest A.4).
func (c *call) tagged(d iot.Device) error {
	c.header("ETag", `"`+d.ETag+`"`)
	return c.answer(http.StatusOK, d)
}

func (c *call) bytes(status int, body []byte) error {
	h := c.w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	c.w.WriteHeader(status)
	_, err := c.w.Write(body)
	return lost(err)
}

// nothing answers 204.
func (c *call) nothing() error {
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// errLost marks that the peer is gone: there is nobody left to tell.
var errLost = errors.New("the peer is gone")

func lost(err error) error {
	if err == nil {
		return nil
	}
	return errors.Join(errLost, err)
}

// fail answers an error, unless the answer has begun or the peer is gone.
func (c *call) fail(err error) {
	code := fault.Of(err)
	if errors.Is(err, errLost) || c.w.status != 0 {
		c.s.log.LogAttrs(c.r.Context(), slog.LevelDebug, "an answer was cut short", c.attrs(err)...)
		return
	}
	if code.Status() >= http.StatusInternalServerError && code != fault.GenericNotImplemented {
		c.s.log.LogAttrs(c.r.Context(), slog.LevelError, "a request failed", c.attrs(err)...)
	} else {
		c.s.log.LogAttrs(c.r.Context(), slog.LevelDebug, "a request was refused", c.attrs(err)...)
	}
	c.header("iothub-errorcode", code.Name())
	text := describe(code, err, &c.match)
	_ = c.bytes(code.Status(), errorText(c.shape, code, text, c.id, c.s.now())) // the peer may be gone: nobody to tell
}

// tell hands a failed operation of an authorized caller to the resource log.
func (c *call) tell(err error) {
	f := c.s.cfg.Failures
	switch {
	case f == nil || c.does == "" || errors.Is(err, errLost):
	case c.does == "ingress":
		f.TelemetryError(c.match.id, device.HTTPS, c.size, err, c.s.now())
	default:
		f.IdentityError(c.does, c.match.id, c.remote(), err, c.s.now())
	}
}

// remote is the caller's address, invalid if it is of another kind.
func (c *call) remote() netip.AddrPort {
	addr, err := netip.ParseAddrPort(c.r.RemoteAddr)
	if err != nil {
		return netip.AddrPort{}
	}
	return addr
}

// attrs are what a log line says of a call: never the query, which may hold a token.
func (c *call) attrs(err error) []slog.Attr {
	as := []slog.Attr{
		slog.String("op", c.op()), slog.String("remote", c.r.RemoteAddr),
		slog.String("tracking_id", string(c.id)), slog.Int("code", int(fault.Of(err))), slog.Any("err", err),
	}
	if c.match.id.Device != "" {
		as = append(as, slog.String("device", c.match.id.Device))
	}
	if c.match.id.Module != "" {
		as = append(as, slog.String("module", c.match.id.Module))
	}
	return as
}

// op names the operation for the log.
func (c *call) op() string { return fmt.Sprintf("%.16s %s", c.r.Method, c.route()) }

// route is the path's pattern, one of a bounded set.
func (c *call) route() string {
	if c.match.endpoint == nil {
		return "none"
	}
	return c.match.endpoint.path
}

// body reads the request's body, at most limit bytes of it; what is larger is a
// fault with the code tooLarge, and too much that the caller has under way one with
// ThrottlingException.
func (c *call) body(limit int64, tooLarge fault.Code) ([]byte, error) {
	large := fault.New(tooLarge, "web.body", "the body is larger than %d bytes", limit)
	if c.r.ContentLength > limit {
		c.drain()
		return nil, large
	}
	if err := c.reserve(aroundBody + max(c.r.ContentLength, 0)); err != nil {
		c.drain()
		return nil, err
	}
	var from io.Reader = c.r.Body
	if c.r.ContentLength < 0 {
		from = reserving{from, c}
	}
	b, err := io.ReadAll(io.LimitReader(from, limit+1))
	switch {
	case fault.Of(err) == fault.ThrottlingException:
		c.drain()
		return nil, err
	case err != nil:
		return nil, fault.Wrap(err, fault.RequestTimedOut, "web.body", "the body did not arrive whole")
	case int64(len(b)) > limit:
		c.drain()
		return nil, large
	}
	return b, nil
}

// drain reads some of a body that is refused: a connection closed with unread input is
// reset, and the reset can overtake the answer. A client that waits to be told to send
// is not told.
func (c *call) drain() {
	if c.r.Header.Get("Expect") == "" {
		_, _ = io.CopyN(io.Discard, c.r.Body, drainBody) // the answer is the same whatever comes
	}
}

// decode reads a JSON body into v.
func (c *call) decode(limit int64, v any) error {
	b, err := c.body(limit, fault.GenericRequestEntityTooLarge)
	if err != nil {
		return err
	}
	return decodeJSON(b, v)
}

// decodeJSON reads a JSON text: 400006 for what is not JSON, 400004 for a member
// that is not what it should be, 400005 for nothing at all.
func decodeJSON(b []byte, v any) error {
	b = bytes.TrimPrefix(b, []byte("\ufeff")) // of editors and PowerShell; RFC 8259 8.1 lets it be ignored
	if text := bytes.TrimSpace(b); len(text) == 0 || string(text) == "null" {
		return fault.New(fault.ArgumentNull, "web.decode", "BadRequest: the request needs a JSON body")
	}
	err := json.Unmarshal(b, v)
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fault.Wrap(err, fault.IotHubFormatError, "web.decode", "the body is not JSON")
	}
	if t, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fault.Wrap(err, fault.ArgumentInvalid, "web.decode", "%s cannot be a JSON %s", orBody(t.Field), t.Value)
	}
	return fault.Wrap(err, fault.ArgumentInvalid, "web.decode", "%s", err.Error())
}

func orBody(field string) string {
	if field == "" {
		return "the body"
	}
	return field
}

// ifMatch reads the precondition of a write.
func (c *call) ifMatch() (iot.Match, error) {
	m, err := iot.ParseIfMatch(c.r.Header.Get("If-Match"))
	if err != nil {
		return m, fault.Wrap(err, fault.PreconditionFailed, "web.if_match", "%s", err.Error())
	}
	return m, nil
}
