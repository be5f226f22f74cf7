package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"
	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/test/rig"
)

// eventHubsString is what "berth connection-string --event-hubs" prints, with the port of
// clients that dial the one they know.
func eventHubsString(h *rig.Hub) string {
	return h.Berth("connection-string", "--event-hubs", "--policy", "service").Must().Line()
}

// consumer makes a client of azeventhubs for a consumer group, over TCP or a WebSocket.
func consumer(t *testing.T, h *rig.Hub, group string, ws bool) *azeventhubs.ConsumerClient {
	t.Helper()
	o := &azeventhubs.ConsumerClientOptions{
		TLSConfig: h.TLS(), CustomEndpoint: h.Run.AMQP, RetryOptions: azeventhubs.RetryOptions{MaxRetries: -1},
	}
	if ws {
		o.NewWebSocketConn = func(ctx context.Context, p azeventhubs.WebSocketConnParams) (net.Conn, error) {
			c, _, err := websocket.Dial(ctx, p.Host, &websocket.DialOptions{Subprotocols: []string{"amqp"}, HTTPClient: h.HTTPClient()}) //nolint:bodyclose // the library closes it
			if err != nil {
				return nil, err
			}
			return websocket.NetConn(context.WithoutCancel(ctx), c, websocket.MessageBinary), nil
		}
	}
	c, err := azeventhubs.NewConsumerClientFromConnectionString(eventHubsString(h), "", group, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.WithoutCancel(t.Context())) })
	return c
}

// readEvents reads n events of a partition from a place on.
func readEvents(t *testing.T, c *azeventhubs.ConsumerClient, partition string, from azeventhubs.StartPosition, n int) []*azeventhubs.ReceivedEventData {
	t.Helper()
	pc, err := c.NewPartitionClient(partition, &azeventhubs.PartitionClientOptions{StartPosition: from})
	if err != nil {
		t.Fatal(err)
	}
	ctx := goSoon(t)
	defer pc.Close(ctx)
	events, err := pc.ReceiveEvents(ctx, n, nil)
	if err != nil {
		t.Fatalf("receive %d events from %+v: %v", n, from, err)
	}
	return events
}

// eventBodies gives the bodies of events.
func eventBodies(events []*azeventhubs.ReceivedEventData) []string {
	var all []string
	for _, e := range events {
		all = append(all, string(e.Body))
	}
	return all
}

// TestEventHubsConsumer reads telemetry with azeventhubs by the connection string that
// berth prints: from every place that it can name, over TCP and a WebSocket, with the
// properties that the hub stamps.
func TestEventHubsConsumer(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{})
	d := h.AddDevice("dev1")
	l := h.Dial(t)
	l.Enter(d.Hello())
	for i := range 5 {
		l.Publish(d.EventsTopic()+"$.mid=m"+fmt.Sprint(i)+"&color=red", uint16(i+1), fmt.Sprint(i))
	}
	partition := fmt.Sprint(partitionOfDevice(t, h))
	for _, ws := range []bool{false, true} {
		t.Run(fmt.Sprint("websocket ", ws), func(t *testing.T) {
			c := consumer(t, h, azeventhubs.DefaultConsumerGroup, ws)
			all := readEvents(t, c, partition, azeventhubs.StartPosition{Earliest: new(true)}, 5)
			if diff := cmp.Diff([]string{"0", "1", "2", "3", "4"}, eventBodies(all)); diff != "" {
				t.Fatalf("from the earliest (-want +got):\n%s", diff)
			}
			checkReceived(t, all[2])
			checkPlaces(t, c, partition, all)
			checkManagement(t, c, partition, all[4])
		})
	}
}

// checkReceived checks the third event of TestEventHubsConsumer.
func checkReceived(t *testing.T, e *azeventhubs.ReceivedEventData) {
	t.Helper()
	if e.MessageID == nil || *e.MessageID != "m2" || e.Properties["color"] != "red" {
		t.Errorf("message id %v, properties %v", e.MessageID, e.Properties)
	}
	for name, want := range map[string]any{
		"iothub-connection-device-id": "dev1", "iothub-message-source": "Telemetry",
	} {
		if got := e.SystemProperties[name]; got != want {
			t.Errorf("system property %s is %v, want %v: %v", name, got, want, e.SystemProperties)
		}
	}
	if e.EnqueuedTime == nil || time.Since(*e.EnqueuedTime) > time.Minute {
		t.Errorf("enqueued time %v", e.EnqueuedTime)
	}
}

// checkPlaces reads from the place of the third of five events, by everything that names it.
func checkPlaces(t *testing.T, c *azeventhubs.ConsumerClient, partition string, all []*azeventhubs.ReceivedEventData) {
	t.Helper()
	third := all[2]
	for name, from := range map[string]azeventhubs.StartPosition{
		"offset":   {Offset: &third.Offset},
		"sequence": {SequenceNumber: &third.SequenceNumber},
		"time":     {EnqueuedTime: third.EnqueuedTime},
	} {
		for _, inclusive := range []bool{true, false} {
			from.Inclusive = inclusive
			first := 3
			if inclusive {
				first = 2
			}
			for name == "time" && inclusive && first > 0 && all[first-1].EnqueuedTime.Equal(*third.EnqueuedTime) {
				first-- // of one millisecond
			}
			for name == "time" && !inclusive && first < len(all) && all[first].EnqueuedTime.Equal(*third.EnqueuedTime) {
				first++
			}
			if first == len(all) {
				continue
			}
			got := readEvents(t, c, partition, from, 1)
			if string(got[0].Body) != fmt.Sprint(first) {
				t.Errorf("%s, inclusive %v: the first event is %q, want %d", name, inclusive, got[0].Body, first)
			}
		}
	}
}

// checkManagement compares what the management node says with the last event.
func checkManagement(t *testing.T, c *azeventhubs.ConsumerClient, partition string, last *azeventhubs.ReceivedEventData) {
	t.Helper()
	hub, err := c.GetEventHubProperties(goSoon(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	if hub.Name != "hub" || !slices.Contains(hub.PartitionIDs, partition) || time.Since(hub.CreatedOn) > time.Hour {
		t.Errorf("event hub %+v", hub)
	}
	p, err := c.GetPartitionProperties(goSoon(t), partition, nil)
	if err != nil {
		t.Fatal(err)
	}
	if p.IsEmpty || p.LastEnqueuedSequenceNumber != last.SequenceNumber || p.LastEnqueuedOffset != last.Offset || !p.LastEnqueuedOn.Equal(*last.EnqueuedTime) {
		t.Errorf("partition %+v, want the last event %d at %s of %v", p, last.SequenceNumber, last.Offset, last.EnqueuedTime)
	}
	if _, err := c.GetPartitionProperties(goSoon(t), "99", nil); err == nil {
		t.Error("the properties of partition 99 were given")
	}
}

// TestEventHubsLatest reads only what comes after the reader, whose lag is a metric.
func TestEventHubsLatest(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	d := h.AddDevice("dev1")
	l := h.Dial(t)
	l.Enter(d.Hello())
	l.Publish(d.EventsTopic(), 1, "before")
	partition := partitionOfDevice(t, h)
	c := consumer(t, h, azeventhubs.DefaultConsumerGroup, false)
	pc, err := c.NewPartitionClient(fmt.Sprint(partition), &azeventhubs.PartitionClientOptions{StartPosition: azeventhubs.StartPosition{Latest: new(true)}, Prefetch: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close(goSoon(t))
	brief, cancel := context.WithTimeout(t.Context(), time.Second) // attaches, and has nothing to receive
	defer cancel()
	if events, err := pc.ReceiveEvents(brief, 1, nil); len(events) > 0 || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("received %v, %v before anything came", eventBodies(events), err)
	}
	l.Publish(d.EventsTopic(), 2, "after")
	l.Publish(d.EventsTopic(), 3, "later")
	events, err := pc.ReceiveEvents(goSoon(t), 1, nil)
	if err != nil || string(events[0].Body) != "after" {
		t.Errorf("received %v, %v, want what came after", eventBodies(events), err)
	}
	lag := func() float64 {
		return h.Metric("berth_event_receiver_lag_events", fmt.Sprintf(`partition="%d"`, partition))
	}
	rig.Until(t, "the reader is one event behind", func() bool { return lag() == 1 })
	if events, err = pc.ReceiveEvents(goSoon(t), 1, nil); err != nil || string(events[0].Body) != "later" {
		t.Errorf("received %v, %v, want what came later", eventBodies(events), err)
	}
	rig.Until(t, "the reader is at the end", func() bool { return lag() == 0 })
}

// TestEventHubsOwnership has a reader with a higher owner level take a partition, and one
// with a lower be refused.
func TestEventHubsOwnership(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	d := h.AddDevice("dev1")
	l := h.Dial(t)
	l.Enter(d.Hello())
	l.Publish(d.EventsTopic(), 1, "one")
	partition := fmt.Sprint(partitionOfDevice(t, h))
	owner := func(level int64) *azeventhubs.PartitionClient {
		pc, err := consumer(t, h, azeventhubs.DefaultConsumerGroup, false).NewPartitionClient(partition, &azeventhubs.PartitionClientOptions{
			StartPosition: azeventhubs.StartPosition{Earliest: new(true)}, OwnerLevel: &level,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = pc.Close(context.WithoutCancel(t.Context())) })
		return pc
	}
	lost := func(pc *azeventhubs.PartitionClient) bool { // a refused attach has no code of its own in the client
		_, err := pc.ReceiveEvents(goSoon(t), 1, nil)
		return err != nil && strings.Contains(err.Error(), "amqp:link:stolen")
	}
	one, two := owner(1), owner(2)
	if _, err := one.ReceiveEvents(goSoon(t), 1, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := two.ReceiveEvents(goSoon(t), 1, nil); err != nil {
		t.Fatal(err)
	}
	if !lost(one) {
		t.Error("the reader of level 1 did not learn that it lost the partition")
	}
	if !lost(owner(1)) {
		t.Error("another reader of level 1 was let in beside level 2")
	}
	l.Publish(d.EventsTopic(), 2, "two")
	if events, err := two.ReceiveEvents(goSoon(t), 1, nil); err != nil || string(events[0].Body) != "two" {
		t.Errorf("the owner reads %v, %v", eventBodies(events), err)
	}
}

// TestEventHubsConsumerGroups makes a consumer group on the command line and reads for it;
// an unknown one is not found.
func TestEventHubsConsumerGroups(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	d := h.AddDevice("dev1")
	l := h.Dial(t)
	l.Enter(d.Hello())
	l.Publish(d.EventsTopic(), 1, "one")
	partition := fmt.Sprint(partitionOfDevice(t, h))
	unknown := func(group string) bool {
		pc, err := consumer(t, h, group, false).NewPartitionClient(partition, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer pc.Close(goSoon(t))
		_, err = pc.ReceiveEvents(goSoon(t), 1, nil)
		return err != nil && strings.Contains(err.Error(), "not-found")
	}
	if !unknown("stats") {
		t.Error("an unknown consumer group was not refused as not found")
	}
	h.Berth("consumer-group", "create", "stats").Must()
	events := readEvents(t, consumer(t, h, "stats", false), partition, azeventhubs.StartPosition{Earliest: new(true)}, 1)
	if diff := cmp.Diff([]string{"one"}, eventBodies(events)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	h.Berth("consumer-group", "delete", "stats").Must()
	if !unknown("stats") {
		t.Error("a removed consumer group was not refused as not found")
	}
}

// npmEvent is what events.js tells of an event.
type npmEvent struct {
	Body           any
	Properties     map[string]any
	System         map[string]any
	Offset         string
	SequenceNumber int64
	MessageID      string
	Last           int64
}

// nextEvent waits for the next event of a subscription.
func nextEvent(t *testing.T, p *puppet, as string) npmEvent {
	t.Helper()
	var e npmEvent
	if err := json.Unmarshal(p.event("event "+as), &e); err != nil {
		t.Fatal(err)
	}
	return e
}

// TestEventHubsNode reads telemetry with npm @azure/event-hubs, over TCP and a WebSocket:
// from the beginning, from a place, from the end, and by owner level.
func TestEventHubsNode(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{})
	d := h.AddDevice("dev1")
	l := h.Dial(t)
	l.Enter(d.Hello())
	for i := range 3 {
		l.Publish(d.EventsTopic()+"$.ct=application%2Fjson&$.ce=utf-8&$.mid=m"+fmt.Sprint(i)+"&color=red", uint16(i+1), fmt.Sprintf(`{"n":%d}`, i))
	}
	partition := fmt.Sprint(partitionOfDevice(t, h))
	for n, ws := range []bool{false, true} {
		t.Run(fmt.Sprint("websocket ", ws), func(t *testing.T) {
			p := newPuppet(t, h, "events")
			p.must("create", args{"connection": eventHubsString(h), "group": "$Default", "ws": ws}, nil)
			p.must("subscribe", args{"as": "all", "partition": partition, "from": "earliest", "last": true}, nil)
			var second npmEvent
			for i := range 3 {
				e := nextEvent(t, p, "all")
				if i == 1 {
					second = e
				}
				if diff := cmp.Diff(any(map[string]any{"n": float64(i)}), e.Body); diff != "" {
					t.Errorf("body %d (-want +got):\n%s", i, diff)
				}
				if e.MessageID != fmt.Sprint("m", i) || e.Properties["color"] != "red" || e.System["iothub-connection-device-id"] != "dev1" {
					t.Errorf("event %d: %+v", i, e)
				}
				if want := int64(2 + n); e.Last != want {
					t.Errorf("event %d: the partition ends at %d, want %d", i, e.Last, want)
				}
			}
			p.must("subscribe", args{"as": "after", "partition": partition, "from": args{"offset": second.Offset}}, nil)
			if e := nextEvent(t, p, "after"); e.MessageID != "m2" {
				t.Errorf("after offset %s came %+v, want m2", second.Offset, e)
			}
			p.must("subscribe", args{"as": "at", "partition": partition, "from": args{"sequenceNumber": second.SequenceNumber, "isInclusive": true}}, nil)
			if e := nextEvent(t, p, "at"); e.MessageID != "m1" {
				t.Errorf("at sequence %d came %+v, want m1", second.SequenceNumber, e)
			}
			checkNodeManagement(t, p, partition, int64(2+n))
			checkNodeOwner(t, p, partition)
			l.Publish(d.EventsTopic(), uint16(10+n), `"more"`)
			p.must("close", nil, nil)
		})
	}
}

// checkNodeManagement asks the management node.
func checkNodeManagement(t *testing.T, p *puppet, partition string, last int64) {
	t.Helper()
	var hub struct {
		Name         string
		PartitionIDs []string
	}
	p.must("hub", nil, &hub)
	if hub.Name != "hub" || !slices.Contains(hub.PartitionIDs, partition) {
		t.Errorf("event hub %+v", hub)
	}
	var got struct {
		Empty       bool
		First, Last int64
	}
	p.must("partition", args{"partition": partition}, &got)
	if got.Empty || got.First != 0 || got.Last != last {
		t.Errorf("partition %+v, want 0 to %d", got, last)
	}
}

// checkNodeOwner has a reader with an owner level displace those without, which learn why.
func checkNodeOwner(t *testing.T, p *puppet, partition string) {
	t.Helper()
	p.must("subscribe", args{"as": "owner", "partition": partition, "from": "earliest", "ownerLevel": 1}, nil)
	nextEvent(t, p, "owner")
	var told struct{ Error jsError }
	if err := json.Unmarshal(p.event("error all"), &told); err != nil {
		t.Fatal(err)
	}
	if told.Error.Code != "ReceiverDisconnectedError" {
		t.Errorf("a reader without a level was told %+v, want ReceiverDisconnectedError", told.Error)
	}
}
