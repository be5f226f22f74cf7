package web

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth-iot/berth/internal/event"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

const telemetryPath = "/berth/v1/events/telemetry"

// fill adds events to partitions 0 and 2.
func (f *fixture) fill() {
	for i := range 5 {
		f.events.add(0, "d1", fmt.Sprintf("a%d", i))
	}
	for i := range 3 {
		f.events.add(2, "d2", fmt.Sprintf("c%d", i))
	}
}

// bodies gives "partition:sequence=body" of every event line, and other lines whole.
func bodies(text string) []string {
	var list []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, `{"partition"`) {
			if line != "" {
				list = append(list, line)
			}
			continue
		}
		list = append(list, field(line, `"partition":`)+":"+field(line, `"sequenceNumber":`)+"="+strings.Trim(field(line, `"body":`), `"`))
	}
	return list
}

func field(line, name string) string {
	_, rest, _ := strings.Cut(line, name)
	return rest[:strings.IndexAny(rest, ",}")]
}

// TestEventsAsLines: what is there, from every kind of start, with every filter.
func TestEventsAsLines(t *testing.T) {
	f := newFixture(t)
	f.fill()
	for query, want := range map[string]string{
		"partition=0&from=earliest":  "0:0=a0 0:1=a1 0:2=a2 0:3=a3 0:4=a4",
		"partition=2&fromSequence=1": "2:1=c1 2:2=c2",
		"partition=0&fromOffset=201": "0:3=a3 0:4=a4",
		"partition=0&fromTime=" + iot.TimeOf(noon.Add(4*time.Second)).String(): "0:4=a4",
		"partition=0&from=earliest&max=2":                                      "0:0=a0 0:1=a1",
		"from=earliest&device=d2":                                              "2:0=c0 2:1=c1 2:2=c2",
		"from=earliest&device=d2&module=m":                                     "",
		"from=END":                                                             "",
		"":                                                                     "",
		"partition=1&from=earliest":                                            "",
	} {
		w := f.as(t, "service", "GET", telemetryPath+"?follow=false&"+query, "")
		if got := strings.Join(bodies(w.Body.String()), " "); w.Code != 200 || got != want {
			t.Errorf("%s: got %d %s, want %s", query, w.Code, got, want)
		}
		if got := w.Header().Get("Content-Type"); got != "application/x-ndjson; charset=utf-8" {
			t.Errorf("content type %q", got)
		}
	}
	if got := f.events.readers(); got != 0 {
		t.Errorf("%d readers left open", got)
	}
	// All partitions: each in order, together as they come.
	w := f.as(t, "service", "GET", telemetryPath+"?follow=false&from=earliest", "")
	next := map[string]int{}
	for _, b := range bodies(w.Body.String()) {
		p, rest, _ := strings.Cut(b, ":")
		seq, _, _ := strings.Cut(rest, "=")
		if strconv.Itoa(next[p]) != seq {
			t.Errorf("partition %s: %s came as number %d", p, seq, next[p])
		}
		next[p]++
	}
	if next["0"] != 5 || next["2"] != 3 {
		t.Errorf("got %v", next)
	}
}

func TestEventLineIsTheOneOfMonitor(t *testing.T) {
	f := newFixture(t)
	f.fill()
	w := f.as(t, "service", "GET", telemetryPath+"?follow=false&partition=0&fromSequence=4", "")
	f.events.mu.Lock()
	m, err := event.Parse(f.events.partitions[0][4])
	v := iot.NewEventJSON(f.events.partitions[0][4], m)
	f.events.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	line, err := v.Line()
	if err != nil {
		t.Fatal(err)
	}
	if got := w.Body.String(); got != string(line) {
		t.Errorf("got %s, want %s", got, line)
	}
}

func TestEventQueryRefuses(t *testing.T) {
	f := newFixture(t)
	for _, q := range []string{
		"partition=4", "partition=-1", "partition=x", "partition=", "device=a/b", "module=m", "from=now", "fromSequence=-1", "fromSequence=x",
		"fromOffset=1.5", "fromTime=yesterday", "fromTime=", "max=0", "max=-3", "follow=perhaps", "fromsequence=1",
		"from=earliest&fromSequence=1", "fromTime=2020-01-01T00:00:00Z&fromOffset=3", "x=1",
	} {
		w := f.as(t, "service", "GET", telemetryPath+"?"+q, "")
		if w.Code != 400 || raw(w.Header(), "iothub-errorcode") != "ArgumentInvalid" {
			t.Errorf("%s: %d %s", q, w.Code, w.Body)
		}
	}
	for _, id := range []string{"x", "9:1", "0:-2", "-1:3", "0:1,", strings.Repeat("0:1,", 1000)} {
		w := f.as(t, "service", "GET", telemetryPath, "", "Last-Event-ID", id)
		if w.Code != 400 {
			t.Errorf("Last-Event-ID %.20s: %d", id, w.Code)
		}
	}
	for _, q := range []string{"device=%20", "module=m", "since=x", "tail=0", "tail=99999999", "follow=2", "y=1", "category=" + strings.Repeat("c", 200)} {
		if w := f.as(t, "service", "GET", "/berth/v1/events/resource-log?"+q, ""); w.Code != 400 {
			t.Errorf("log %s: %d", q, w.Code)
		}
	}
	if got := f.events.readers(); got != 0 {
		t.Errorf("%d readers left open", got)
	}
}

// TestGaps: what cannot be read is named, and the rest goes on.
func TestGaps(t *testing.T) {
	f := newFixture(t)
	for i := range 10 {
		f.events.add(0, "d1", strconv.Itoa(i))
	}
	f.events.damaged[[2]uint64{0, 4}] = 2
	w := f.as(t, "service", "GET", telemetryPath+"?follow=false&partition=0&fromSequence=2", "")
	want := `0:2=2 0:3=3 {"gap":{"partition":0,"code":500001,"message":"events 4 to 5 of partition 0 are damaged and were skipped"}} 0:6=6 0:7=7 0:8=8 0:9=9`
	if got := strings.Join(bodies(w.Body.String()), " "); got != want {
		t.Errorf("damage: got %s\nwant %s", got, want)
	}
	f.events.trimmed[0] = 7
	w = f.as(t, "service", "GET", telemetryPath+"?follow=false&partition=0", "", "Last-Event-ID", "0:5")
	want = `{"gap":{"partition":0,"fromSequence":6,"toSequence":6,"code":404000,"message":"events 6 to 6 of partition 0 were removed before they were read"}} 0:7=7 0:8=8 0:9=9`
	if got := strings.Join(bodies(w.Body.String()), " "); got != want {
		t.Errorf("retention: got %s\nwant %s", got, want)
	}
}

// TestUnreadablePartitionEnds: a partition that gives nothing but errors is given up.
func TestUnreadablePartitionEnds(t *testing.T) {
	f := newFixture(t)
	f.events.add(0, "d1", "x")
	for i := range uint64(1000) {
		f.events.damaged[[2]uint64{0, i}] = 1
	}
	w := f.as(t, "service", "GET", telemetryPath+"?partition=0&from=earliest", "")
	if got := len(bodies(w.Body.String())); got != maxFailures {
		t.Errorf("%d lines, want %d gaps", got, maxFailures)
	}
}

// TestDrainedPartitionEnds: without follow, a partition whose rest was removed ends
// after a short silence, and not never.
func TestDrainedPartitionEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.fill()
		f.events.trimmed[0] = 5
		began := time.Now()
		w := f.as(t, "service", "GET", telemetryPath+"?follow=false&partition=0&from=earliest", "")
		if took := time.Since(began); w.Body.Len() != 0 || took != drainedAfter {
			t.Errorf("took %s: %s", took, w.Body)
		}
	})
}

// lines reads a stream line by line.
type lines struct {
	t *testing.T
	r *bufio.Reader
}

func (l lines) next() string {
	l.t.Helper()
	s, err := l.r.ReadString('\n')
	if err != nil {
		l.t.Fatalf("read the stream: %v", err)
	}
	return strings.TrimSuffix(s, "\n")
}

// TestFollowIsPrompt: an event that comes is there without further ado, over a real
// connection, and the stream ends with its reader.
func TestFollowIsPrompt(t *testing.T) {
	s := serveTLS(t, newFixture(t))
	s.fill()
	stream := s.get(t, telemetryPath)
	if stream.Status != 200 {
		t.Fatal(stream.Status)
	}
	l := lines{t, bufio.NewReader(stream.Body)}
	for i := range 3 {
		s.events.add(i, "d9", "new"+strconv.Itoa(i))
		if got, want := bodies(l.next())[0], "=new"+strconv.Itoa(i); !strings.HasSuffix(got, want) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if got := testutilGauge(t, s.fixture, "berth_event_streams"); got != "1" {
		t.Errorf("%s streams counted", got)
	}
	stream.Body.Close()
	eventually(t, "the readers close", func() bool { return s.events.readers() == 0 })
}

// eventually waits for something another goroutine is about to do.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("still waiting until %s", what)
		}
	}
}

func testutilGauge(t *testing.T, f *fixture, name string) string {
	t.Helper()
	for line := range strings.Lines(httptestGet(t, f.server.OpsHandler(), "/metrics").Body.String()) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

// TestServerSentEvents: ids resume all partitions without loss and without repeats.
func TestServerSentEvents(t *testing.T) {
	s := serveTLS(t, newFixture(t))
	s.fill()
	stream := s.get(t, telemetryPath+"?from=end", "Accept", "text/html, Text/Event-Stream;q=0.9")
	if got := stream.Header.Get("Content-Type"); got != "text/event-stream; charset=utf-8" {
		t.Fatalf("content type %q", got)
	}
	l := lines{t, bufio.NewReader(stream.Body)}
	s.events.add(2, "d2", "c3")
	if got := l.next(); got != "id: 0:4,1:-1,2:3,3:-1" {
		t.Errorf("got %q", got)
	}
	if got := l.next(); !strings.HasPrefix(got, `data: {"partition":2,"sequenceNumber":3,`) {
		t.Errorf("got %q", got)
	}
	if got := l.next(); got != "" {
		t.Errorf("got %q", got)
	}
	stream.Body.Close()
	// Meanwhile something comes in a partition that was empty.
	s.events.add(1, "d3", "b0")
	s.events.add(0, "d1", "a5")
	again := s.get(t, telemetryPath+"?from=end&follow=false", "Accept", "text/event-stream", "Last-Event-ID", "0:4,1:-1,2:3,3:-1")
	body, err := io.ReadAll(again.Body)
	if err != nil {
		t.Fatal(err)
	}
	text := string(body)
	if strings.Count(text, "data: ") != 2 || !strings.Contains(text, `"body":"b0"`) || !strings.Contains(text, `"body":"a5"`) {
		t.Errorf("got %s", text)
	}
	one := s.get(t, telemetryPath+"?partition=2&from=earliest&follow=false", "Accept", "text/event-stream", "Last-Event-ID", "2:1")
	if body, err = io.ReadAll(one.Body); err != nil || !strings.HasPrefix(string(body), "id: 2:2\ndata: ") || strings.Count(string(body), "id: ") != 2 {
		t.Errorf("got %s, %v", body, err)
	}
}

// TestHeartbeat: an idle stream gives a sign of life every 15 s, also when all that
// comes is filtered out; a busy one needs none.
func TestHeartbeat(t *testing.T) {
	for accept, want := range map[string]string{"text/event-stream": ":\n\n", "": "\n"} {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t)
			ctx, cancel := context.WithCancel(t.Context())
			r := httptest.NewRequestWithContext(ctx, "GET", telemetryPath+"?device=d1", nil)
			r.Host = hubHost
			r.Header.Set("Authorization", token("service"))
			r.Header.Set("Accept", accept)
			w := httptest.NewRecorder()
			done := make(chan struct{})
			go func() { f.server.Handler().ServeHTTP(w, r); close(done) }()
			for range 4 {
				time.Sleep(heartbeatEvery/2 + time.Millisecond)
				f.events.add(0, "other", "x")
			}
			synctest.Wait()
			if got := w.Body.String(); got != want+want {
				t.Errorf("after two intervals: %q", got)
			}
			f.events.add(0, "d1", "x")
			time.Sleep(heartbeatEvery)
			synctest.Wait()
			if got := w.Body.String(); strings.Count(got, want+want) > 1 || !strings.Contains(got, `"deviceId":"d1"`) {
				t.Errorf("after an event: %q", got)
			}
			cancel()
			<-done
		})
	}
}

// TestSlowReaderLagsAlone: it holds up nobody, and what it missed is there when it
// comes to it.
func TestSlowReaderLagsAlone(t *testing.T) {
	f := newFixture(t)
	s := serveTLS(t, f)
	big := strings.Repeat("x", 200_000)
	stuck := s.get(t, telemetryPath+"?partition=0&from=earliest")
	for range 100 { // 20 MB: more than all buffers on the way
		s.events.add(0, "d1", big)
	}
	prompt := s.get(t, telemetryPath+"?partition=1&from=earliest")
	s.events.add(1, "d1", "y")
	if got := bodies(lines{t, bufio.NewReader(prompt.Body)}.next()); got[0] != "1:0=y" {
		t.Errorf("got %v", got)
	}
	l := lines{t, bufio.NewReader(stuck.Body)}
	for i := range 100 { // it lagged, and lost nothing
		if got := bodies(l.next())[0]; !strings.HasPrefix(got, fmt.Sprintf("0:%d=", i)) {
			t.Fatalf("got %.20s as number %d", got, i)
		}
	}
}

// TestStreamsAreBounded: one too many is refused.
func TestStreamsAreBounded(t *testing.T) {
	f := newFixture(t)
	f.server.streams.Store(maxStreams)
	w := f.as(t, "service", "GET", telemetryPath, "")
	if w.Code != 429 || raw(w.Header(), "iothub-errorcode") != "ThrottlingException" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if got := f.server.streams.Load(); got != maxStreams {
		t.Errorf("%d counted", got)
	}
}

// TestShutdownEndsStreams: they end cleanly, at once.
func TestShutdownEndsStreams(t *testing.T) {
	s := serveTLS(t, newFixture(t))
	telemetry := s.get(t, telemetryPath)
	log := s.get(t, "/berth/v1/events/resource-log?follow=true")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := s.server.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	for _, a := range []answer{telemetry, log} {
		if body, err := io.ReadAll(a.Body); err != nil || len(body) != 0 {
			t.Errorf("got %q, %v", body, err)
		}
	}
	if w := httptestGet(t, s.server.OpsHandler(), "/readyz"); w.Code != 503 {
		t.Errorf("readyz: %d", w.Code)
	}
}

func TestResourceLog(t *testing.T) {
	s := serveTLS(t, newFixture(t))
	s.hub.log(`{"operationName":"deviceConnect","d":"d1"}`, `{"operationName":"deviceConnect","d":"d2"}`)
	w := s.as(t, "service", "GET", "/berth/v1/events/resource-log?device=d1", "")
	if got := w.Body.String(); w.Code != 200 || got != `{"operationName":"deviceConnect","d":"d1"}`+"\n" {
		t.Errorf("got %d %s", w.Code, got)
	}
	stream := s.get(t, "/berth/v1/events/resource-log?follow=true&device=d2&category=Connections&since=2020-01-01T00:00:00Z&tail=5", "Accept", "text/event-stream")
	l := lines{t, bufio.NewReader(stream.Body)}
	if got := l.next(); got != `data: {"operationName":"deviceConnect","d":"d2"}` {
		t.Errorf("got %q", got)
	}
	l.next()
	s.hub.log(`{"operationName":"deviceDisconnect","d":"d2"}`)
	if got := l.next(); got != `data: {"operationName":"deviceDisconnect","d":"d2"}` {
		t.Errorf("got %q", got)
	}
}

// TestResourceLogThatFails says so in the stream.
func TestResourceLogThatFails(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.ResourceLog = brokenLog{} })
	w := f.as(t, "service", "GET", "/berth/v1/events/resource-log", "", "Accept", "text/event-stream")
	want := "data: {\"first\":1}\n\nevent: error\ndata: {\"error\":{\"code\":503001,\"message\":\"the log is closed\"}}\n\n"
	if got := w.Body.String(); got != want {
		t.Errorf("got %q", got)
	}
}

type brokenLog struct{}

func (brokenLog) Read(_ context.Context, _ iot.LogQuery, give func([]byte) error) error {
	if err := give([]byte(`{"first":1}`)); err != nil {
		return err
	}
	return fault.Wrap(errors.New("secret"), fault.ServiceUnavailable, "fake", "the log is closed")
}
