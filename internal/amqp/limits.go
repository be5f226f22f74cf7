package amqp

import "time"

const (
	// maxAddress is the longest address of a link, in bytes: two ids of 128 characters, each
	// encoded three bytes for one, and the words around them.
	maxAddress = 1024

	// protocolHeader is what every connection begins with, in bytes (AMQP 2.2).
	protocolHeader = 8

	// claimWithin is how long a connection may be without a valid claim, at its beginning
	// and after its last one has ended (Event Hubs: 20 s).
	claimWithin = 20 * time.Second

	// firstFew is how many sessions and links of a peer that has proved nothing are not counted:
	// SDKs have one session and a pair of links by then. maxStrange is how many the others of
	// all such peers may be together: each costs some 600 bytes.
	firstFew   = 6
	maxStrange = 16 * 1024

	// loginLasts is how long a login with the key of a policy itself permits what the policy
	// does; tokens say so themselves.
	loginLasts = 24 * time.Hour

	// maxClaims bounds the tokens of one connection: a gateway has one for each identity, and
	// a module of each.
	maxClaims = 2048

	// maxProofs is on how many connections a device's or module's own token may stand: SDKs
	// have one connection, and one that is half open.
	maxProofs = 8

	// maxIdentities is how many devices and modules one connection may carry (Azure: 999).
	maxIdentities = 999

	// maxJobs is how many things a connection has done at once beside its owner, and
	// maxWaitingJobs how many more may wait for that.
	maxJobs        = 16
	maxWaitingJobs = 4096

	// deviceCredit is how many telemetry messages a device may have on their way or
	// unacknowledged on a link.
	deviceCredit = 1000

	// maxInFlight and maxInFlightBytes bound what the log has taken of a device or module and
	// not yet made durable; beyond either, the connection is not read until the log has caught
	// up. They are what one device can add to everybody's commit, the same as over MQTT:
	// credit counts messages alone, and none that come settled.
	maxInFlight      = 1024
	maxInFlightBytes = 128 << 10

	// commandCredit is how many messages to devices a back-end may have on their way or not
	// yet on stable storage, on a link.
	commandCredit = 200

	// maxCommand is the largest message to a device as it is encoded, in bytes: what counts
	// against the limit (64 KB), and what is written around it. The limit itself is for the
	// queue to check.
	maxCommand = 128 * 1024

	// requestCredit is the same for requests ($cbs, $management, twins).
	requestCredit = 100

	// maxQueueing is how much of messages to devices a connection may have under way, in bytes:
	// more than the credit of one link, full of the largest.
	maxQueueing = commandCredit*maxCommand + 8<<20

	// maxRequest is the largest request to $cbs or $management, in bytes: a token has up to
	// 4 KB (iot.MaxSAS). maxRequestID is the longest id of a request, which its reply holds.
	maxRequest   = 16 * 1024
	maxRequestID = 1024

	// maxLinks is how many links one device or module may have on a connection; SDKs have six.
	maxLinks = 64

	// maxReplies bounds the replies of a connection that wait for credit.
	maxReplies = 256

	// maxRun and maxRunBytes bound the messages that are gathered before the log is given
	// them; what a full log leaves over is kept, and nothing is read, until it is taken.
	maxRun      = 128
	maxRunBytes = 256 * 1024

	// takeAtOnce is how many messages and results are taken from a session in one call.
	takeAtOnce = 16

	// roomBytes is how much of messages is taken from a session in one call, in bytes.
	roomBytes = 64 * 1024

	// maxFilter is the longest filter of a receiver, in bytes.
	maxFilter = 256

	// lastTime is the greatest time that a filter can name, in milliseconds since 1970: the
	// last of year 9999.
	lastTime = 253_402_300_799_999

	// maxReceivers is how many receivers without an epoch may read one partition for one
	// consumer group (Event Hubs: 5).
	maxReceivers = 5

	// readAhead is how many runs of events a receiver has read and not sent.
	readAhead = 2

	// maxEncoded bounds the encoded events that are kept for other readers, in bytes.
	maxEncoded = 16 << 20

	// messageAround is about what is written around an event's body and properties, in bytes.
	messageAround = 480

	// maxClientText is how much is kept of what a client says of itself, in bytes.
	maxClientText = 512

	// maxModelID is the longest model id in bytes (device.Client.ModelID).
	maxModelID = 255

	// maxQuoted is how much of a peer's text an error quotes, in bytes.
	maxQuoted = 128
)
