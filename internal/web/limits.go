package web

import (
	"time"

	"github.com/berth-iot/berth/internal/iot"
)

// Limits of one connection. A peer that has not authenticated costs two goroutines,
// net/http's two buffers of 4 KiB and at most maxHeader of input.
const (
	maxHeader     = 16 * 1024        // bytes of request line and headers (net/http adds 4 KiB of slack)
	headerTimeout = 15 * time.Second // from the first byte awaited to the end of the headers
	readTimeout   = 30 * time.Second // headers and body together
	writeTimeout  = 60 * time.Second // for an answer that is not a stream, from the end of the headers
	idleTimeout   = 2 * time.Minute  // between requests of one connection

	maxConns = 2048 // connections that are not WebSockets; beyond it each is closed behind its answer
)

// Limits of one request.
const (
	drainBody       = 1024 * 1024                    // bytes read of a body that is refused as too large, so that the client reads the refusal and not a reset
	maxSegments     = 8                              // path segments looked at; the longest route has 7
	maxIdentity     = 64 * 1024                      // bytes of a device or module body
	maxBulkBody     = 6 * 1024 * 1024                // bytes of a bulk body: 100 items, each with a full twin
	maxKeysBody     = 64 * 1024                      // bytes of a key regeneration body
	maxAuthority    = 32 * 1024                      // bytes of a certificate body
	maxDeviceBodies = 16 * (maxMessage + aroundBody) // bytes of bodies that a device has under way: 16 of the largest messages, or 528 small ones
	maxPolicyBodies = 64 * 1024 * 1024               // the same of a policy: ten bulk bodies
	aroundBody      = 8 * 1024                       // bytes that a request with a body counts for besides
	maxMessage      = iot.MaxMessageSize             // bytes of a device's message, headers included
	maxList         = 1000                           // devices in one answer of GET /devices (service-rest B.1)
	appendTimeout   = 20 * time.Second               // for a message to reach stable storage
	callTimeout     = 30 * time.Second               // for the registry to answer
	maxQuoted       = 128                            // bytes of a peer's text that an error quotes
	maxDetail       = 1024                           // bytes of detail in an error body
	minAPIVersion   = "2016-02-03"                   // the oldest that clients send: SDKs 1.0
	batchType       = "application/vnd.microsoft.iothub.json"
)

// Limits of a stream of events.
const (
	maxStreams     = 256                  // streams at once over all callers; the next gets 429
	maxChunk       = 64 * 1024            // bytes rendered before they are written and flushed
	heartbeatEvery = 15 * time.Second     // a comment on an idle server-sent stream, so that dead peers show
	stallTimeout   = 60 * time.Second     // for a peer to take one chunk, after which its stream is cut
	drainedAfter   = 2 * time.Second      // without follow: silence after which a partition counts as read
	maxFailures    = 8                    // failed reads in a row after which a partition is given up
	maxLastEventID = 1024                 // bytes of Last-Event-ID
	flushAfter     = 5 * time.Millisecond // how long a line of the log may wait for company
)

// Limits of a WebSocket.
const (
	maxSockets   = 100_000         // upgraded connections at once
	maxWSMessage = 1 << 20         // bytes of one WebSocket message; it is never held whole
	goodbyeFor   = 2 * time.Second // for the peer to answer our close frame once its conversation is over
)
