package web

import (
	"context"
	"io"
	"log/slog"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/park"
)

// identities are the registry's devices and modules, one at a time. Errors of all
// these interfaces are fault.Errors.
type identities interface {
	PutDevice(ctx context.Context, id string, d iot.Device, m iot.Match) (iot.Device, error)
	GetDevice(ctx context.Context, id string) (iot.Device, error)
	DeleteDevice(ctx context.Context, id string, m iot.Match) error
	ListDevices(ctx context.Context, top int) ([]iot.Device, error)
	PutModule(ctx context.Context, id iot.Identity, m iot.Module, match iot.Match) (iot.Module, error)
	GetModule(ctx context.Context, id iot.Identity) (iot.Module, error)
	DeleteModule(ctx context.Context, id iot.Identity, m iot.Match) error
	ListModules(ctx context.Context, dev string) ([]iot.Module, error)
}

// population is the registry's identities taken together.
type population interface {
	Bulk(ctx context.Context, items []iot.BulkItem) (iot.BulkResult, error)
	RegenerateKeys(ctx context.Context, k iot.KeyRegeneration) (iot.KeyRegenerationResult, error)
	Statistics(ctx context.Context) (iot.DeviceStatistics, error)
	Twin(ctx context.Context, id iot.Identity) (iot.Twin, error)
}

// authorities are the certificate authorities whose devices may come.
type authorities interface {
	ListCAs(ctx context.Context) ([]iot.Authority, error)
	// PutCA registers a certificate, PEM or base64 of DER; unless it is verified, which is
	// the caller vouching for it, the answer carries a verification code.
	PutCA(ctx context.Context, name string, certificate []byte, verified bool, m iot.Match) (iot.Authority, error)
	// NewVerificationCode opens a proof of possession: the code is in the answer.
	NewVerificationCode(ctx context.Context, name string) (iot.Authority, error)
	// VerifyCA closes it with a certificate that the authority signed for that code.
	VerifyCA(ctx context.Context, name string, certificate []byte) (iot.Authority, error)
	DeleteCA(ctx context.Context, name string, m iot.Match) error
}

// gate answers "is this credential good?" for one request to path, which is plain
// text without a leading slash. Refusals are 401002.
type gate interface {
	// Authorize names the shared access policy that signed a token and holds need.
	Authorize(token, host, path string, need iot.Right) (policy string, err error)
	// AuthorizeDevice checks the credential of a device or module, without claiming it.
	AuthorizeDevice(ctx context.Context, id iot.Identity, host, path string, cred device.Credential) (device.Proof, error)
}

// sender appends a message to the telemetry log.
type sender interface {
	// Send returns when the message is on stable storage.
	Send(ctx context.Context, stamp iot.Stamp, raw iot.Raw) error
}

// commands are the cloud-to-device messages.
type commands interface {
	// Send queues a message; it is on stable storage when Send returns. m is borrowed.
	Send(ctx context.Context, id iot.Identity, m *iot.CloudMessage) error
	// Purge removes what is pending for an identity and says how many messages that were.
	Purge(ctx context.Context, id iot.Identity) (int, error)
}

// events is the telemetry log as a reader sees it.
type events interface {
	// Ends gives, by partition, the sequence its next event will have.
	Ends() []uint64
	// Reader reads one partition from a place on; the caller closes it.
	Reader(partition int, start device.Start) (device.EventReader, error)
}

// groups are the consumer groups of the event endpoint.
type groups interface {
	List() []iot.ConsumerGroup
	Create(ctx context.Context, name string) (iot.ConsumerGroup, error)
	Delete(ctx context.Context, name string) error
}

// resourceLog is the resource log as a reader sees it.
type resourceLog interface {
	// Read gives the records that q asks for, oldest first, each one line of JSON without
	// its line feed, which is borrowed until give returns. An error of give ends the
	// reading and is returned.
	Read(ctx context.Context, q iot.LogQuery, give func(line []byte) error) error
}

// diagnosis explains the conflicts of identities.
type diagnosis interface {
	// Explain says what happened to an identity, as of a time; zero: now. Without a conflict
	// its verdict is iot.VerdictNone.
	Explain(ctx context.Context, id iot.Identity, at time.Time) (iot.Explanation, error)
	Conflicts(ctx context.Context, q iot.ConflictQuery) ([]iot.ConflictSummary, error)
	// FollowConflicts and FollowConnections give until ctx ends or give returns an error,
	// which is returned. What give is too slow for is counted in Lost.
	FollowConflicts(ctx context.Context, q iot.ConflictQuery, give func(iot.ConflictSummary) error) error
	FollowConnections(ctx context.Context, q iot.ConnectionQuery, give func(iot.ConnectionEvent) error) error
}

// failures is told of operations that failed, for the resource log.
type failures interface {
	// IdentityError: operation is "get", "create", "update" or "delete".
	IdentityError(operation string, id iot.Identity, from netip.AddrPort, err error, at time.Time)
	TelemetryError(id iot.Identity, transport device.Transport, size int, err error, at time.Time)
}

// Socket is what a WebSocket of one sub-protocol is handed to.
type Socket struct {
	Transport device.Transport // written into the facts of the connection
	// Serve speaks the protocol with a peer that has said nothing yet, and of whose connection
	// reads and writes are the payload of binary messages. The conversation is over when it has
	// closed the connection, which may be after it has returned. ctx ends with the peer's
	// time as a stranger, or when the server is done waiting for it.
	Serve func(ctx context.Context, p park.Peer)
}

// About is what GET /berth/v1/hub says of the hub.
type About struct {
	Version    string
	Name       string   // first label of the first host name
	Hosts      []string // every name the hub answers to, the first first
	Partitions int
	Started    time.Time
}

// Config is what a Server is made of. All services but Diagnosis are required.
type Config struct {
	Identities  identities
	Population  population
	Authorities authorities
	Gate        gate
	Sender      sender
	Commands    commands
	Events      events
	Groups      groups
	ResourceLog resourceLog
	Diagnosis   diagnosis         // nil: nothing is explained, and those who ask get 501
	Failures    failures          // nil: nobody is told
	Connected   func() int64      // live sessions of devices: connectedDeviceCount
	Sockets     map[string]Socket // by sub-protocol in lower case: "mqtt"
	About       About

	Registry interface { // where metrics are registered and gathered
		prometheus.Registerer
		prometheus.Gatherer
	}
	Ready  func() error     // nil: ready; the error's text is shown on the operators' port
	Logger *slog.Logger     // nil: discarded
	Now    func() time.Time // nil: time.Now
	Random io.Reader        // for tracking ids; nil: crypto/rand
}
