package endpoint

import "github.com/berth-iot/berth/internal/amqpwire"

// Kind is what an event tells.
type Kind uint8

// The kinds of event. The first three end a turn.
const (
	Idle          Kind = iota // no whole frame is left
	Held                      // nothing more until the caller answers
	More                      // this turn had its share, or Out must leave
	OnSASL                    // Init or Response
	OnOpen                    // Open
	OnBegin                   // Session
	OnAttach                  // Session, Link, Attach
	OnTransfer                // Link, Delivery
	OnDisposition             // Link, ID, Ref, State, Settled
	OnFlow                    // Session, Link
	OnDetach                  // Session, Link, ByPeer, Closed, Error
	OnAnswer                  // Session, Link
	OnEnd                     // Session, ByPeer, Error
	OnClose                   // ByPeer, Error
)

// String gives the kind as scripts write it.
func (k Kind) String() string {
	return [...]string{
		"idle", "held", "more", "sasl", "open", "begin", "attach", "transfer", "disposition",
		"flow", "detach", "answer", "end", "close",
	}[k]
}

// Event is one thing that happened. The comments at the kinds say which fields are set.
type Event struct {
	Kind     Kind
	ByPeer   bool // the peer ended it, not we
	Closed   bool // the peer's detach closes the link for good
	Settled  bool // the peer settled the delivery
	ID       uint32
	Ref      uint64 // what Send was given
	Session  *Session
	Link     *Link
	State    amqpwire.State // nil for none; owned
	Delivery *Delivery
	Error    *amqpwire.Error // nil for none
	Attach   *amqpwire.Attach
	Open     *amqpwire.Open
	Init     *amqpwire.SASLInit // nil if it is a Response
	Response []byte             // what the peer answered to a challenge; a secret
}

// Delivery is a whole message that came on a link.
type Delivery struct {
	ID      uint32
	Format  uint32
	Settled bool   // no disposition is owed
	Tag     []byte // borrowed until Finish
	Payload []byte // borrowed until Finish
}
