package bench

import (
	"fmt"
	"io"
	"math"
	"slices"
	"sync"
	"text/tabwriter"
	"time"
)

// maxReasons bounds how many different failures a report names.
const maxReasons = 8

// Report is what one run measured, the same for every kind of run; what a kind
// does not measure is absent.
type Report struct {
	Run       string     `json:"run"` // register, handshake, connect, publish, takeover, fairness, read, restart, c2d, events, beside, multiplex
	Target    string     `json:"target"`
	Protocol  string     `json:"protocol,omitempty"` // AMQP; absent: MQTT or none
	TLS       bool       `json:"tls"`
	Cipher    string     `json:"cipher,omitempty"` // version, suite and key exchange of the first handshake
	Started   time.Time  `json:"started"`          // of the measured window, UTC
	Seconds   float64    `json:"seconds"`          // length of the measured window
	Devices   int        `json:"devices"`
	Readers   int        `json:"readers,omitempty"`
	Inflight  int        `json:"inflight,omitempty"`
	Size      int        `json:"sizeBytes,omitempty"`
	Rate      float64    `json:"rate,omitempty"` // asked for, per second; absent: as fast as it goes
	Done      uint64     `json:"done"`           // identities registered, connections made, messages acknowledged, takeovers, starts
	PerSecond float64    `json:"perSecond"`
	Latency   Latency    `json:"latency"`           // of one operation; takeover: old closed after the new CONNACK
	Connect   *Latency   `json:"connect,omitempty"` // dial to CONNACK, where that is not the operation itself
	Alive     *int       `json:"alive,omitempty"`   // connections that answered a ping after the hold
	LeftOpen  *uint64    `json:"leftOpen,omitempty"`
	Kernel    *Latency   `json:"kernel,omitempty"`  // takeover: the same by the time stamps of the kernel, which took in what the server wrote
	Settled   *Latency   `json:"settled,omitempty"` // c2d: send to the confirmed settlement
	Fairness  *Fairness  `json:"fairness,omitempty"`
	Following *Following `json:"following,omitempty"`
	Failed    uint64     `json:"failed"`
	Failures  []string   `json:"failures,omitempty"` // the first different ones
	Server    *Usage     `json:"server,omitempty"`
	Client    *Usage     `json:"client,omitempty"`
}

// finish fills in what every kind of run has.
func (r *Report) finish(window time.Duration, both *pair, failed *failures) {
	r.Server, r.Client = both.server.usage(r.Done, window), both.own.usage(r.Done, window)
	if window > 0 {
		r.PerSecond = round(float64(r.Done)/window.Seconds(), 10)
	}
	r.Seconds = round(r.Seconds, 1000)
	failed.into(r)
}

// Print writes the report as a table for a person.
func (r *Report) Print(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(tw, name+"\t"+format+"\n", args...) //nolint:errcheck // Flush reports it
	}
	secured := "plain TCP"
	if r.TLS {
		secured = "TLS"
	}
	if r.Cipher != "" {
		secured = r.Cipher
	}
	if r.Protocol != "" {
		secured = r.Protocol + ", " + secured
	}
	row("run", "%s, %d devices, %s over %s", r.Run, r.Devices, r.Target, secured)
	if r.Readers > 0 {
		row("readers", "%d", r.Readers)
	}
	if r.Inflight > 0 {
		row("load", "%d in flight each, %d bytes", r.Inflight, r.Size)
	}
	if r.Rate > 0 {
		row("paced", "%.0f/s", r.Rate)
	}
	row(r.noun(), "%d in %.2f s, %.0f/s", r.Done, r.Seconds, r.PerSecond)
	row(r.measure(), "%s", r.Latency)
	r.more(row)
	if r.Server != nil {
		row("server", "%s", r.usage(r.Server))
	}
	if r.Client != nil {
		row("load generator", "%s", r.usage(r.Client))
	}
	row("failed", "%d", r.Failed)
	for _, f := range r.Failures {
		row("", "%s", f)
	}
	return tw.Flush()
}

// more writes what only some kinds of run measure.
func (r *Report) more(row func(name, format string, args ...any)) {
	if r.Connect != nil {
		row("connect", "%s", *r.Connect)
	}
	if r.Alive != nil {
		row("alive at the end", "%d of %d", *r.Alive, r.Devices)
	}
	if r.Kernel != nil {
		row("the same by kernel stamps", "%s", *r.Kernel)
	}
	if r.Settled != nil {
		row("send to settled", "%s", *r.Settled)
	}
	if r.LeftOpen != nil {
		row("left open", "%d", *r.LeftOpen)
	}
	if r.Fairness != nil {
		r.Fairness.rows(row)
	}
	if r.Following != nil {
		r.Following.rows(row)
	}
}

func (r *Report) noun() string {
	return map[string]string{
		"register": "registered", "handshake": "handshakes", "connect": "connected", "publish": "acknowledged",
		"takeover": "takeovers", "fairness": "acknowledged", "read": "events", "restart": "started", "c2d": "settled", "events": "delivered", "beside": "acknowledged", "multiplex": "attached",
	}[r.Run]
}

func (r *Report) measure() string {
	if r.Run == "publish" && r.Protocol != "" {
		return "send to accepted"
	}
	return map[string]string{
		"register": "bulk request", "handshake": "dial to the server's close", "connect": "dial to CONNACK",
		"publish": "send to PUBACK", "takeover": "old closed after new CONNACK", "fairness": "send to PUBACK at full speed",
		"read": "whole stream", "restart": "start to first CONNACK", "c2d": "send to device", "events": "whole stream", "beside": "send to PUBACK",
		"multiplex": "attach of a device's links",
	}[r.Run]
}

func (r *Report) usage(u *Usage) string {
	s := fmt.Sprintf("%.2f µs CPU each, %.2f cores, %.1f MB resident", u.MicrosPerOp, u.Cores, float64(u.ResidentBytes)/1e6)
	if r.Run == "multiplex" {
		s += fmt.Sprintf(", grown by %.1f MB", float64(u.GrownBytes)/1e6)
	}
	if (r.Run == "connect" || r.Run == "multiplex") && r.Devices > 0 {
		s += fmt.Sprintf(", grown by %.1f kB a device", float64(u.GrownBytes)/1e3/float64(r.Devices))
	}
	return s
}

// String gives the quantiles in a unit a person can compare.
func (l Latency) String() string {
	if l.Count == 0 {
		return "nothing measured"
	}
	return fmt.Sprintf("p50 %s  p90 %s  p99 %s  p99.9 %s  max %s", human(l.P50), human(l.P90), human(l.P99), human(l.P999), human(l.Max))
}

func human(us float64) string {
	switch {
	case us < 1000:
		return fmt.Sprintf("%.1f µs", us)
	case us < 1e6:
		return fmt.Sprintf("%.2f ms", us/1e3)
	}
	return fmt.Sprintf("%.2f s", us/1e6)
}

// round keeps a figure to 1/per.
func round(v, per float64) float64 { return math.Round(v*per) / per }

// failures counts what went wrong and keeps the first different reasons.
type failures struct {
	mu sync.Mutex

	// guarded by mu

	count   uint64
	reasons []string
}

func (f *failures) add(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count++
	if s := err.Error(); len(f.reasons) < maxReasons && !slices.Contains(f.reasons, s) {
		f.reasons = append(f.reasons, s)
	}
}

func (f *failures) into(r *Report) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r.Failed, r.Failures = f.count, f.reasons
}
