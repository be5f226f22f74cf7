package device

import (
	"context"
	"crypto/x509"
	"time"

	"github.com/berth-iot/berth/internal/iot"
)

// Core is the hub as a transport sees it.
type Core interface {
	// Open authenticates hello and claims the identity; it may block (a transport with
	// many devices calls it off the owner, bounded per connection). When it returns, any
	// earlier holder is already fenced: nothing it does afterwards has effect. The core
	// calls wake, which must not block and coalesces, whenever Take, Durable, Err or the
	// room for Append may have changed; it never calls a transport in any other way.
	// wake may be called before Open returns and after Close. Errors are fault.Error.
	Open(ctx context.Context, hello Hello, wake func()) (Session, error)
}

// Session is one authenticated device or module on one connection. Nothing in it
// blocks. Its methods are called by one owner at a time.
type Session interface {
	// Resumed gives the subscriptions kept for this identity, as granted.
	Resumed() (subs []Subscription, present bool)
	// Append copies a prefix of ms into the log's open block and says how many. n < len(ms)
	// with a nil error: no room, stop reading until woken. An error concerns ms[n] alone.
	// The bytes are borrowed until it returns.
	Append(ms []iot.Raw) (n int, err error)
	// Durable counts this session's messages on stable storage, in Append order.
	Durable() uint64
	// Do starts an operation; its result comes from Take under the same tag. An error of Do
	// itself: the session has ended, or too many operations are under way (429002).
	Do(op Op) error
	// Take fills dst with results, which need no room, and then with messages, as many as
	// the peer has room for, and returns the filled prefix. See Delivery.
	Take(dst []Delivery, room Room) []Delivery
	// Err is nil while the session lives; then it says why it ended (a fault.Error).
	Err() error
	// Close is idempotent; why tells a goodbye from a loss, a protocol error, a shutdown.
	Close(why Goodbye)
	// Afterlife tells what was seen of the peer after a displacement. It is called at most
	// once, after Close, by whoever holds the socket.
	Afterlife(a Afterlife)
}

// Hello is what a client said of itself when it asked to speak for an identity.
type Hello struct {
	Identity   iot.Identity
	Host       string // as the client wrote it; any alias of the hub is accepted
	Credential Credential
	Client     Client
	Conn       *Conn // facts of the connection, shared with the transport
	Clean      bool  // MQTT CleanSession, AMQP: always true
	Will       *iot.Raw
}

// Credential is what the client offered to prove its identity.
type Credential struct {
	SAS          string              // the token text, empty if none was sent
	Certificates []*x509.Certificate // the TLS client's chain, leaf first, not verified
}

// Client is what the client software said of itself.
type Client struct {
	ID         string        // MQTT client id, AMQP container id
	Type       string        // DeviceClientType, com.microsoft:client-version
	APIVersion string        // as sent, may be empty
	ModelID    string        // DTDL model, empty if none; at most 255 bytes
	KeepAlive  time.Duration // as asked for: MQTT keep-alive, AMQP idle time-out; 0 is none
}

// Subscription is one subscription of a session: what it is to, and how the client
// spelled it, because that is how it will unsubscribe.
type Subscription struct {
	To     Stream
	Filter string // the MQTT topic filter as sent; elsewhere a name of the transport's own, one for each link
	QoS    uint8  // as granted: 0 or 1
}

// Stream is something a device can subscribe to. The numbers are stored.
type Stream uint8

// The streams of a device.
const (
	CloudToDevice    Stream = 1 // messages queued for the device: see Delivery.Message
	Methods          Stream = 2 // direct method calls
	TwinResponses    Stream = 3 // answers to twin requests
	DesiredChanges   Stream = 4 // desired-property patches
	ModuleInputs     Stream = 5 // messages routed to a module's inputs
	ModuleEverything Stream = 6 // devices/D/modules/M/#: inputs, messages, and whatever else is below
)

// Messages reports whether cloud-to-device messages come by the stream.
func (s Stream) Messages() bool { return s == CloudToDevice || s == ModuleEverything }

// Op is one operation of a session. Tag is the transport's own; it comes back on
// the Delivery that carries the result.
type Op struct {
	Tag  uint64
	What Operation
}

// Operation is the closed set of what a session can ask of the hub.
//
//sumtype:decl
type Operation interface{ operation() }

// Subscribe adds subscriptions, or replaces those of the same filter. Its result
// is delivered when they are on stable storage, which for a clean session, and so for
// AMQP, means at once. From then on, possibly before the result is taken, the session is
// given what the streams carry: messages that waited come first.
type Subscribe struct{ Subs []Subscription }

// Unsubscribe removes the subscriptions with exactly these filters; unknown ones
// are no error. Its result is delivered when the removal is on stable storage. When no
// subscription to messages is left, the session is given none any more, and the locks of
// those it has not settled are released at once: another link, or session, may be given
// them. AMQP: the devicebound link was detached.
type Unsubscribe struct{ Filters []string }

// TwinRead asks for the identity's twin as a device sees it.
type TwinRead struct{}

// TwinReport merges Patch into the reported properties.
type TwinReport struct {
	Patch []byte // borrowed until Do returns
}

// Settle says what became of a message that the session was given. Its result is
// delivered when the outcome is on stable storage: DeviceMessageLockLost if the lock had
// ended before, by time, by Unsubscribe, by a purge, or because it was settled already.
// A session may settle before the results of earlier operations are there; once Do has
// taken it, the outcome stands though the session be fenced a moment later.
type Settle struct {
	Lock    iot.LockToken
	Outcome Outcome
}

// Outcome is what a receiver did with a message.
type Outcome uint8

// The outcomes of a delivery.
const (
	Complete Outcome = iota + 1 // done with: MQTT PUBACK, AMQP accepted
	Abandon                     // back to its place in the queue, counted: AMQP released, modified
	Reject                      // given up: AMQP rejected, modified with undeliverable-here
)

// Renew puts another credential in the place of the one that the session was opened
// with, so that it lives as long as that one is good (AMQP put-token). A credential that
// does not prove the identity is the result's error and changes nothing.
type Renew struct{ Credential Credential }

func (Subscribe) operation()   {}
func (Renew) operation()       {}
func (Unsubscribe) operation() {}
func (TwinRead) operation()    {}
func (TwinReport) operation()  {}
func (Settle) operation()      {}

// Delivery is one thing for the peer: the result of an Op, or a message.
//
// Messages come in the order of the queue, each locked for iot.MessageLock from the
// moment that Take gave it. A receiver settles each by Settle. If it does not in time, the
// message goes back to its place, uncounted, and Take may give it again, also to the same
// session, with another lock. When the session ends, its locks are released before
// anybody else can open one for the identity.
type Delivery struct {
	Tag     uint64             // of the Op; 0 with a message
	Err     error              // nil, or the fault.Error that the operation ended with
	Message *iot.LockedMessage // nil for a result; read only, valid without limit
}

// Room is what the peer can take now. It bounds messages alone, never results. After a
// Take that found no more to give, wake is called when there is more; after one that filled
// dst, or used up Messages or Bytes, Take must be called again, woken or not, once there is
// room. A receiver says how much room it has by Take alone, also the first time.
type Room struct {
	Messages int // MQTT in-flight window, AMQP credit
	Bytes    int // room in the output buffer; the first message is given if there is any
}

// Goodbye says how a connection ended, as the transport saw it.
type Goodbye struct {
	Kind   GoodbyeKind
	Detail string // a sentence for the log; never a secret
}

// GoodbyeKind is the closed set of ends that a transport can see.
type GoodbyeKind uint8

// The ends of a connection.
const (
	GoodbyeClean    GoodbyeKind = iota + 1 // DISCONNECT, AMQP close: no will
	GoodbyeLost                            // end of stream or a reset without goodbye
	GoodbyeIdle                            // keep-alive or idle time-out lapsed
	GoodbyeProtocol                        // the peer broke the protocol or the hub's rules
	GoodbyeShutdown                        // the hub is stopping
	GoodbyeEnded                           // the session had ended by itself: see Err
	GoodbyeExpired                         // the credential ended, and the transport does not let it outlive that
)
