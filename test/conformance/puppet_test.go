package conformance

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/berth-iot/berth/test/rig"
)

// answerWithin is how long a test waits for a puppet's answer. It is longer than the
// 30 s after which the device SDK gives up on a PUBACK, so that the SDK's own word is
// heard.
const answerWithin = 45 * time.Second

// puppet is a Node process that does what the test says, with a published client.
type puppet struct {
	// fixed

	t      *testing.T // but for during
	stdin  io.WriteCloser
	stderr *rig.Output
	ended  chan struct{} // closed when the process's output has ended

	// guarded by mu

	mu      sync.Mutex
	next    int
	waiting map[int]chan reply
	events  map[string]chan json.RawMessage
}

type reply struct {
	OK    json.RawMessage `json:"ok"`
	Error *jsError        `json:"error"`
}

// jsError is how a client reported an error: the class tells it to the application.
type jsError struct {
	Name    string `json:"name"`
	Kind    string `json:"kind"`
	Message string `json:"message"`
	Code    any    `json:"code"`
	Status  int    `json:"status"`
	Body    any    `json:"body"`

	Condition string `json:"condition"` // of AMQP, if the client passes it on
	Inner     string `json:"inner"`     // the name of the error that a service client wraps
}

func (e *jsError) String() string { return fmt.Sprintf("%+v", *e) }

// newPuppet starts node/<script>.js with the hub's name and CA known to it.
func newPuppet(t *testing.T, h *rig.Hub, script string) *puppet {
	t.Helper()
	rig.Need(t, "node")
	dir := filepath.Join(rig.Root(), "test", "conformance", "node")
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "azure-iot-device")); err != nil {
		t.Fatal("the npm packages are missing: run `make setup`")
	}
	p := &puppet{
		t: t, stderr: &rig.Output{}, ended: make(chan struct{}),
		waiting: map[int]chan reply{}, events: map[string]chan json.RawMessage{},
	}
	cmd := exec.Command("node", "-r", "./hosts.js", script+".js")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "BERTH_HOSTS="+nodeHosts(t, h), "NODE_EXTRA_CA_CERTS="+h.CAFile, "NODE_NO_WARNINGS=1")
	cmd.SysProcAttr = rig.DieWithParent()
	cmd.Stderr = p.stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start node: %v: run `make setup`", err)
	}
	p.stdin = stdin
	go p.listen(stdout)
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-p.ended
		cmd.Wait()
		if t.Failed() && p.stderr.String() != "" {
			t.Logf("%s wrote: %s", script, p.stderr)
		}
	})
	p.event("ready")
	return p
}

// nodeHosts says to hosts.js where the hub's name leads.
func nodeHosts(t *testing.T, h *rig.Hub) string {
	t.Helper()
	ports := map[string]int{}
	var address string
	for port, addr := range map[string]string{"8883": h.Run.MQTT, "5671": h.Run.AMQP, "443": h.Run.HTTPS} {
		host, p, err := net.SplitHostPort(addr)
		if err != nil {
			t.Fatal(err)
		}
		address = host
		if ports[port], err = strconv.Atoi(p); err != nil {
			t.Fatal(err)
		}
	}
	b, err := json.Marshal(map[string]any{rig.Host: map[string]any{"address": address, "ports": ports}})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// listen sorts what the puppet writes.
func (p *puppet) listen(stdout io.Reader) {
	defer close(p.ended)
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		var line struct {
			ID    int    `json:"id"`
			Event string `json:"event"`
			reply
		}
		if json.Unmarshal(lines.Bytes(), &line) != nil {
			continue // a library's own chatter
		}
		if line.Event != "" {
			select {
			case p.channel(line.Event) <- bytes.Clone(lines.Bytes()):
			default: // more than a test can be interested in
			}
			continue
		}
		p.mu.Lock()
		c := p.waiting[line.ID]
		delete(p.waiting, line.ID)
		p.mu.Unlock()
		if c != nil {
			c <- line.reply
		}
	}
}

func (p *puppet) channel(event string) chan json.RawMessage {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.events[event] == nil {
		p.events[event] = make(chan json.RawMessage, 1024)
	}
	return p.events[event]
}

// event waits for the next event of this name.
func (p *puppet) event(name string) json.RawMessage {
	p.t.Helper()
	select {
	case e := <-p.channel(name):
		return e
	case <-p.ended:
		p.t.Fatalf("the client ended before %q: %s", name, p.stderr)
	case <-time.After(answerWithin):
		p.t.Fatalf("no event %q within %v", name, answerWithin)
	}
	return nil
}

// during lets another test, which runs before the puppet's own goes on, use the puppet.
func (p *puppet) during(t *testing.T, use func()) {
	t.Helper()
	own := p.t
	p.t = t
	defer func() { p.t = own }()
	use()
}

// quiet reports whether no event of this name has come so far.
func (p *puppet) quiet(name string) bool { return len(p.channel(name)) == 0 }

// args are the named arguments of a command.
type args map[string]any

// start sends a command; the channel gives its answer.
func (p *puppet) start(do string, a args) <-chan reply {
	p.t.Helper()
	c := make(chan reply, 1)
	p.mu.Lock()
	p.next++
	line := args{"id": p.next, "do": do}
	p.waiting[p.next] = c
	p.mu.Unlock()
	maps.Copy(line, a)
	b, err := json.Marshal(line)
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := p.stdin.Write(append(b, '\n')); err != nil {
		p.t.Fatalf("%s: the client is gone: %v: %s", do, err, p.stderr)
	}
	return c
}

// await waits for the answer of a command.
func (p *puppet) await(do string, c <-chan reply) reply {
	p.t.Helper()
	select {
	case r := <-c:
		return r
	case <-p.ended:
		select {
		case r := <-c:
			return r
		default:
		}
		p.t.Fatalf("%s: the client ended: %s", do, p.stderr)
	case <-time.After(answerWithin):
		p.t.Fatalf("%s: no answer within %v", do, answerWithin)
	}
	return reply{}
}

// try does a command and gives its error, if any.
func (p *puppet) try(do string, a args, out any) *jsError {
	p.t.Helper()
	r := p.await(do, p.start(do, a))
	if r.Error != nil {
		return r.Error
	}
	if out != nil {
		if err := json.Unmarshal(r.OK, out); err != nil {
			p.t.Fatalf("%s answered %s: %v", do, r.OK, err)
		}
	}
	return nil
}

// must does a command that must succeed.
func (p *puppet) must(do string, a args, out any) {
	p.t.Helper()
	if err := p.try(do, a, out); err != nil {
		p.t.Fatalf("%s: %s", do, err)
	}
}
