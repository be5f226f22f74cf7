package amqp

import (
	"slices"
	"sync"

	"github.com/berth-iot/berth/internal/amqpwire"
	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// The words of Enforcing Connection Uniqueness 1.0 (OASIS soleconn).
const (
	soleCapability  = "sole-connection-for-container"
	solePolicy      = "sole-connection-enforcement-policy"
	soleDetection   = "sole-connection-detection-policy"
	soleEnforcement = "sole-connection-enforcement"

	soleRefuse = 0 // refuse-connection; 1 is close-existing
	soleStrong = 0 // detection: strong
)

// sole is a connection's wish to be the only one of its container.
type sole struct {
	asked   bool
	policy  uint64
	key     soleKey
	entered bool
}

// soleKey is what is unique: the container, as who it has proved to be. The standard has
// the container alone; but anybody can name another's container-id before he has proved
// anything, and would end that one's connection.
type soleKey struct{ container, principal string }

// soles are the connections that asked to be the only one of their container.
type soles struct {
	mu   sync.Mutex
	held map[soleKey]*conn
}

// enter makes c the one, unless there is another that it must not displace.
func (s *soles) enter(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.held[c.sole.key]; old != nil && old != c {
		if c.sole.policy == soleRefuse {
			return false
		}
		old.ring(evicted{old})
	}
	if s.held == nil {
		s.held = make(map[soleKey]*conn)
	}
	s.held[c.sole.key] = c
	c.sole.entered = true
	return true
}

// leave gives up c's place, if it still has it.
func (s *soles) leave(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[c.sole.key] == c {
		delete(s.held, c.sole.key)
	}
}

// wishes reads whether a client asks to be the only connection of its container, and says
// what is offered in the answer.
func (c *conn) wishes(o *amqpwire.Open) amqpwire.Open {
	if !slices.Contains(o.DesiredCapabilities, soleCapability) {
		return amqpwire.Open{}
	}
	c.sole.asked = true
	c.sole.policy, _ = o.Properties.Get(solePolicy).AsUint() // absent: refuse-connection
	return amqpwire.Open{
		OfferedCapabilities: []string{soleCapability},
		Properties:          amqpwire.Map(amqpwire.Symbol(soleDetection), amqpwire.Uint(soleStrong)),
	}
}

// beSole enforces the wish as soon as the client has said what it wants and proved who it
// is; the newcomer is refused, or the other closed, as the client asked.
func (c *conn) beSole() {
	if !c.sole.asked || c.sole.entered || !c.proven {
		return
	}
	c.sole.key = soleKey{c.open.ContainerID, c.principal()}
	if c.server.soles.enter(c) {
		return
	}
	e := c.refusal(amqpwire.CondInvalidField, fault.LinkCreationConflict, "the container %s has a connection already", quoted(c.open.ContainerID))
	e.Info = amqpwire.Map(amqpwire.Symbol("invalid-field"), amqpwire.Symbol("container-id"))
	c.bye = device.Goodbye{Kind: device.GoodbyeProtocol, Detail: e.Description}
	c.machine.Close(e)
}

// principal is who the peer first proved to be.
func (c *conn) principal() string {
	if len(c.claims) > 0 {
		if k := c.claims[0]; k.identity != (iot.Identity{}) {
			return "identity " + k.identity.String()
		}
		return "policy " + c.claims[0].grant.Policy
	}
	for id := range c.users { // by its certificate, which proves one
		return "identity " + id.String()
	}
	return ""
}

// evicted tells a connection that a newcomer of its container has taken its place.
type evicted struct{ conn *conn }

// woken closes the connection, in the standard's words.
func (evicted) woken(c *conn) {
	e := c.refusal(amqpwire.CondResourceLocked, fault.LinkCreationConflict, "a new connection of the container %s took over", quoted(c.open.ContainerID))
	e.Info = amqpwire.Map(amqpwire.Symbol(soleEnforcement), amqpwire.Bool(true))
	c.bye = device.Goodbye{Kind: device.GoodbyeLost, Detail: e.Description}
	c.machine.Close(e)
}
