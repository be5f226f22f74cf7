package device

// Receiver is one back-end's link to a queue of the hub's own messages: delivery
// feedback, or file notifications. The receivers of a queue compete: each message is
// locked for one of them, and back in its place when that one abandons it, lets the lock
// end, or closes. Nothing in it blocks; its methods are called by one owner at a time,
// who is woken as a session's is, and an idle receiver has no goroutine.
type Receiver interface {
	// Do starts an operation, which can only be Settle; its result comes from Take under the
	// same tag. An error of Do itself: the receiver was closed, or too many settlements are
	// under way (429002).
	Do(op Op) error
	// Take gives results and messages under the rules of Session.Take. Messages have no
	// Number; their ContentType says what the body is, UserID is the hub's name.
	Take(dst []Delivery, room Room) []Delivery
	// Close releases the locks of what was not settled. It is idempotent.
	Close()
}

// What a transport of back-ends calls of cloud-to-device messages has no sessions and
// needs no contract: each declares what it uses of these, and the c2d service has them.
// Errors are fault.Errors.
//
//	// Send queues a message for a device or module; it is on stable storage when it
//	// returns. m is borrowed until then.
//	Send(ctx context.Context, id iot.Identity, m *iot.CloudMessage) error
//	// Purge removes what is pending for an identity and says how many messages that were.
//	Purge(ctx context.Context, id iot.Identity) (int, error)
//	// Feedback and FileNotifications make a receiver; the caller closes it.
//	Feedback(wake func()) (device.Receiver, error)
//	FileNotifications(wake func()) (device.Receiver, error)
//
// Codes of Send: DeviceNotFound, ModuleNotFound, DeviceMaximumQueueDepthExceeded,
// MessageTooLarge, InvalidMessageExpiryTime, ArgumentInvalid, and of the store.
