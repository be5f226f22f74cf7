package c2d

import (
	"time"

	"github.com/berth-iot/berth/internal/iot"
)

// The bounds of the queues. What Azure limits stands in iot.
const (
	// shards is how many parts the map of places has.
	shards = 64
	// maxWaiting bounds the requests that wait for their turn at one identity, settlements
	// aside, of which there is one for each lock. Beyond it they are refused with 429002.
	maxWaiting = 256
	// maxTurnBytes bounds the messages, in bytes, of one turn, unless one alone is larger:
	// a batch must stay well below the engine's bound.
	maxTurnBytes = 1 << 20
	// maxTurnRequests bounds the requests of one turn.
	maxTurnRequests = 128
	// maxAttempts bounds how often a lost compare-and-swap is tried again.
	maxAttempts = 8
	// fillMessages and fillBytes bound what is read ahead of a consumer that has room: the
	// first message is read whatever its size.
	fillMessages = 16
	fillBytes    = 128 * 1024

	// maxRecord bounds what is read as a message, in bytes: the greatest message, and as
	// much again for the lengths of many small properties.
	maxRecord = 2 * iot.MaxCloudMessage
	// maxFeedbackRecord bounds what is read as a feedback record, in bytes.
	maxFeedbackRecord = 1024
	// maxNotice bounds the body of one message for back-ends, in bytes: 64 feedback records
	// with every byte of their ids escaped.
	maxNotice = 256 * 1024

	// maxNotices bounds the messages for back-ends of one kind that nobody has settled, some
	// four million feedback records. Beyond it the oldest goes, and the operator is told.
	maxNotices = 64 * 1024
	// maxReceivers bounds the receivers of one kind.
	maxReceivers = 1024
	// maxHeld bounds the messages that one receiver may hold unsettled.
	maxHeld = 256
	// maxResults bounds the settlements of one receiver that are under way, or whose results
	// it has not taken. Beyond it they are refused with 429002.
	maxResults = 1024

	// expirePage is how many queues in which something has expired are worked on at once,
	// so that they share flushes.
	expirePage = 512
	// expireEvery is the least time between two looks at what expires.
	expireEvery = 50 * time.Millisecond
	// maxPause is the longest sleep of whoever watches the deadlines: when the wall clock jumps
	// ahead, messages expire that much late at most.
	maxPause = 10 * time.Second
	// retryEvery is how long what the store refused waits to be tried again.
	retryEvery = time.Second

	// expirySlack is how far beyond MaxMessageTTL an expiry may be that a sender computed
	// with a clock of its own; the message then lives for MaxMessageTTL.
	expirySlack = 5 * time.Minute

	// clockSlack is how far the wall clock may be behind the monotonic one, counted from when
	// it was furthest ahead, before it is taken to have stepped back.
	clockSlack = time.Second

	// The defaults of the settings for feedback (service-rest E, amqp 5).
	defaultFeedbackBatch = time.Second
	defaultFeedbackTTL   = time.Hour
	defaultFeedbackLock  = time.Minute
	defaultFeedbackMax   = 10
)
