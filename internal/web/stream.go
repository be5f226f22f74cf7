package web

import (
	"bytes"
	"net/http"
	"strings"
	"time"

	"github.com/berth-iot/berth/internal/fault"
)

// stream is an answer without a foreseeable end: JSON lines, or server-sent events
// if the client accepts those. One goroutine writes it.
type stream struct {
	// fixed

	c    *call
	ctl  *http.ResponseController
	sse  bool
	stop <-chan struct{} // closed when the hub stops

	// owned by the handler

	buf   bytes.Buffer // rendered and not yet written; at most maxChunk and one event
	wrote bool         // since the last beat
}

// open begins a stream's answer. The caller closes the stream, and ends it when the
// peer leaves (the request's context) or the hub stops (stop).
func (c *call) open() (*stream, error) {
	c.long = true
	if c.s.streams.Add(1) > maxStreams {
		c.s.streams.Add(-1)
		return nil, fault.New(fault.ThrottlingException, "web.stream", "%d streams are open, the most there may be", maxStreams)
	}
	c.s.metrics.streams.Inc()
	st := &stream{c: c, ctl: http.NewResponseController(c.w), sse: acceptsSSE(c.r), stop: c.s.stop}
	h := c.w.Header()
	h.Set("Content-Type", "application/x-ndjson; charset=utf-8")
	if st.sse {
		h.Set("Content-Type", "text/event-stream; charset=utf-8")
	}
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")        // proxies: pass on what comes
	_ = st.ctl.SetReadDeadline(time.Time{}) // the request has been read; a writer without deadlines needs none
	c.w.WriteHeader(http.StatusOK)
	if err := st.ctl.Flush(); err != nil {
		st.close()
		return nil, lost(err)
	}
	return st, nil
}

func (st *stream) close() {
	st.c.s.metrics.streams.Dec()
	st.c.s.streams.Add(-1)
}

// acceptsSSE reports whether the client asks for server-sent events.
func acceptsSSE(r *http.Request) bool {
	for _, accept := range r.Header.Values("Accept") {
		for part := range strings.SplitSeq(accept, ",") {
			media, _, _ := strings.Cut(part, ";")
			if strings.EqualFold(strings.TrimSpace(media), "text/event-stream") {
				return true
			}
		}
	}
	return false
}

// event adds one line of JSON. kind names a server-sent event that is not an
// ordinary one, id what Last-Event-ID will say; either may be empty.
func (st *stream) event(kind, id string, line []byte) error {
	line = bytes.TrimSuffix(line, []byte{'\n'})
	if st.sse {
		if kind != "" {
			st.buf.WriteString("event: " + kind + "\n")
		}
		if id != "" {
			st.buf.WriteString("id: " + id + "\n")
		}
		st.buf.WriteString("data: ")
	}
	st.buf.Write(line)
	st.buf.WriteByte('\n')
	if st.sse {
		st.buf.WriteByte('\n')
	}
	if st.buf.Len() >= maxChunk {
		return st.flush()
	}
	return nil
}

// beat writes a sign of life, a comment or an empty line, unless something was
// written since the last beat.
func (st *stream) beat() error {
	if st.wrote {
		st.wrote = false
		return nil
	}
	if st.sse {
		st.buf.WriteString(":\n")
	}
	st.buf.WriteByte('\n')
	err := st.flush()
	st.wrote = false
	return err
}

// flush writes what is rendered, if anything. A peer that does not take it in time is
// cut off; a slow one makes its reader lag, and nobody else.
func (st *stream) flush() error {
	if st.buf.Len() == 0 {
		return nil
	}
	_ = st.ctl.SetWriteDeadline(time.Now().Add(stallTimeout)) // as above
	_, err := st.c.w.Write(st.buf.Bytes())
	st.buf.Reset()
	st.wrote = true
	if err == nil {
		err = st.ctl.Flush()
	}
	if st.buf.Cap() > 4*maxChunk {
		st.buf = bytes.Buffer{}
	}
	return lost(err)
}
