package endpoint

import "time"

const (
	// MaxFrameSize is the greatest frame that we take and send, in bytes.
	MaxFrameSize = 65_536

	// ChannelMax is the highest channel number that a peer may use (Azure: at least 8191).
	ChannelMax = 8191

	// HandleMax is the highest handle that a peer may use in a session.
	HandleMax = 8191

	// IdleTimeOut is the silence that we announce to allow (Azure: 240 s). A peer is closed
	// after silence, because it may measure a little longer than we do.
	IdleTimeOut = 240 * time.Second
	silence     = IdleTimeOut * 3 / 2

	// minIdleTimeOut is the shortest idle-time-out of a peer that we undertake to meet;
	// clients known ask for 60 s or more.
	minIdleTimeOut = time.Second

	// AnswerWithin is how long the answer to a detach, end or close of ours is waited for.
	AnswerWithin = 5 * time.Second

	// MaxMessageSize is the greatest message that a link takes if its terms name no other, in
	// bytes: the largest message of the hub (256 KB) and what is written around it.
	MaxMessageSize = 256*1024 + 16*1024

	// turnWork is how many frames, and events of one frame, a turn handles before it yields.
	turnWork = 256

	// maxOut is how much output a turn gathers before it must leave, in bytes. What Room had
	// promised before and the answer to one frame may exceed it.
	maxOut = 256 * 1024

	// incomingWindow is how many transfer frames a peer may send ahead in a session.
	incomingWindow = 4096

	// outgoingWindow is what we announce to send: as much as the peer allows.
	outgoingWindow = 1<<31 - 1

	// maxUnsettled bounds the unsettled deliveries of a link in either direction, and
	// maxUnsettledAll those of a connection that we sent.
	maxUnsettled    = 8192
	maxUnsettledAll = 65_536

	// maxRoom is how many messages Link.Room promises to take at once.
	maxRoom = 16

	// maxHead is the longest header and performative of a transfer frame of ours, in bytes.
	maxHead = 96

	// maxHeld is how much a connection holds back until the peer opens the windows of its
	// sessions, in bytes; what Room had promised before comes on top.
	maxHeld = 1 << 20

	// maxTag is the longest delivery-tag, in bytes (AMQP 2.8.7).
	maxTag = 32

	// maxName is the longest name of a link, in bytes; clients known use up to about 200.
	maxName = 1024

	// maxSASLFrame is the greatest SASL frame, in bytes. The standard says 512, but a token
	// is sent as a PLAIN password.
	maxSASLFrame = 8192

	// refusals is how many links or sessions beyond the limit are refused one by one, while
	// the peer has not answered; then what they are in dies.
	refusals = 16

	// lowHandles is how many of the lowest handles of a session are looked up by index.
	lowHandles = 64

	// fewLinks is up to how many links of a session are looked up by looking at each name.
	fewLinks = 16

	// firstRing is the length of the first ring of unsettled deliveries, and keptRing the
	// longest that is kept while it is empty.
	firstRing = 8
	keptRing  = 64
)

// limits are those that differ between a stranger and a peer that has proven who it is.
type limits struct {
	frame    int // bytes
	sessions int
	links    int // of the connection
	assembly int // bytes of unfinished deliveries of the connection
}

// stranger is for a peer that has proven nothing: it fits into 24 kB with what the
// transport below needs.
func stranger() limits { return limits{frame: 16 * 1024, sessions: 32, links: 64, assembly: 16 * 1024} }

// trusted fits a gateway: 999 identities with up to six links each, a session and a pair
// of $cbs links for each of them.
func trusted() limits {
	return limits{frame: MaxFrameSize, sessions: 2048, links: 8192, assembly: 4 << 20}
}
