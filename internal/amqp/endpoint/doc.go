// Package endpoint is a server's end of an AMQP 1.0 connection as a pure machine: SASL,
// connection, sessions, links, credit and settlement. It has no clock, lock, goroutine or
// socket: bytes and the time come in, bytes, events and the next deadline go out.
//
// Its one invariant: only what erred dies. A link's error detaches the link, a session's
// ends the session, and the peer can make neither outgrow a named limit nor cost more
// than one pass over what we ourselves hold.
//
// It knows the standard and nothing of Azure: which address means what, who may attach
// and what a message holds is its caller's. The names are those of the standard.
//
// # A turn
//
// The caller owns the connection and drives it in turns:
//
//	c.Start(t.Now, t.Out)
//	// What the hub has: answers (Link.Accept, Link.Settle ...), deliveries (Link.Send).
//	for {
//		ev, n := c.Step(t.In[t.Used:])
//		t.Used += n
//		switch ev.Kind {
//		case endpoint.Idle: // all whole frames are handled; the rest waits for more bytes
//		case endpoint.Held: // an answer is owed (OnSASL, OnOpen): t.Paused = true
//		case endpoint.More: // this turn had its share: t.More = true
//		case endpoint.OnTransfer: // ... and the other events
//		}
//	}
//	t.Out, t.Deadline = c.Finish()
//	if c.Over() { return errEnded } // the socket is closed once Out is written
//
// Every method may be called between Start and Finish, also while an event is handled,
// and none at another time. Step is called at least once in a turn, also with no input:
// events that the caller's own calls caused, and the passing of time, are told by Step.
// When the caller must not take more (the log is full) it stops calling Step, sets
// t.Paused, and goes on in a later turn: bytes that Step did not use are handed in again.
// The time in which Step was not called until Idle is not the peer's silence.
//
// # What an event demands
//
//   - OnSASL: Conn.Outcome or Conn.Challenge, now or in a later turn; until then Step
//     says Held. Without a SASL layer the first event is OnOpen.
//   - OnOpen: Conn.Open, or Conn.Close to refuse; until then Step says Held.
//   - OnBegin: nothing, the session is answered. Session.Data is the caller's.
//   - OnAttach: Link.Accept or Link.Refuse, now or in a later turn; the connection goes
//     on meanwhile. Event.Attach is the caller's to keep. Link.Data is the caller's.
//   - OnTransfer: nothing if it came settled, else Link.Settle, now or later. What
//     Event.Delivery points to is valid until the next Step, the bytes in it until Finish.
//   - OnDisposition: the peer told the state of a delivery that Link.Send sent. If
//     Event.Settled it is over, else (receiver-settle-mode second) Link.Settle is owed.
//   - OnFlow: there may be room now: Link.Room, Link.Send, and when Link.Drain says so
//     and nothing more is to be sent, Link.Drained. If Event.Link is nil this holds for
//     every link of Event.Session.
//   - OnDetach: the link is over, whoever ended it; its unsettled deliveries are
//     forgotten. Exactly one follows every OnAttach that was not refused. The answer, if
//     the peer needs one, has been given.
//   - OnAnswer: the peer answered a detach of ours (Link.Detach, Link.Refuse, an error).
//   - OnEnd, OnClose: the session or connection is over; OnDetach came before for every
//     link in it, OnEnd for every session.
//
// If the socket is lost no event tells it: Conn.Sessions and Session.Links give what is
// still there.
//
// # Credit and settlement
//
// A link on which the peer sends is given credit by Link.Allow(n): from then on the
// machine tops it up, such that at most n deliveries are on their way or unsettled. The
// deliveries that Settle names leave as ranges, once a turn.
//
// On a link on which we send, Link.Room says how many messages Send takes now, and Send
// keeps that promise: take as many from the hub, send them, and ask again. Send splits
// them by the peer's max-frame-size; the rest of one that the peer's window does not take
// is held back. When Room is 0 because the output is full (Conn.Full), the caller sets
// t.More. SettleOldest and SettleRange pass over all unsettled deliveries of the session;
// with many devices in one session, Settle with the id is cheaper.
//
// # Ending
//
// Link.Detach, Session.End and Conn.Close end at once. Wind ends in the order that all
// clients notice: detach the links with the error first, then Session.Wind ends the
// session when the peer has answered, or after AnswerWithin; Conn.Wind likewise closes.
// After a close the machine waits for the peer's until Over, and ignores everything else.
// Dispositions, flows and detaches on a channel whose session is over are ignored too.
//
// Conn.Trust lifts the narrow limits of a peer that has not proven who it is.
package endpoint
