package event

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/amqpwire"
	"github.com/berth-iot/berth/internal/iot"
)

// read takes a message apart: every property with its type.
func read(t *testing.T, b []byte) (annotations, application map[string]string, p amqpwire.Properties, m amqpwire.Message) {
	t.Helper()
	m, err := amqpwire.ScanMessage(b)
	if err != nil {
		t.Fatal(err)
	}
	if p, err = amqpwire.DecodeProperties(m.Properties); err != nil {
		t.Fatal(err)
	}
	flat := func(v amqpwire.Value, err error, key amqpwire.Kind) map[string]string {
		if err != nil {
			t.Fatal(err)
		}
		all := make(map[string]string)
		for k, v := range v.Pairs() {
			if k.Kind() != key {
				t.Errorf("key %s is of kind %d", k.Raw(), k.Kind())
			}
			all[string(k.Raw())] = names[v.Kind()] + " " + Text(v)
		}
		return all
	}
	a, err := amqpwire.DecodeAnnotations(m.MessageAnnotations)
	annotations = flat(a, err, amqpwire.KindSymbol)
	a, err = amqpwire.DecodeApplicationProperties(m.ApplicationProperties)
	return annotations, flat(a, err, amqpwire.KindString), p, m
}

var names = map[amqpwire.Kind]string{
	amqpwire.KindNull: "null", amqpwire.KindString: "string", amqpwire.KindLong: "long", amqpwire.KindInt: "int",
	amqpwire.KindTimestamp: "timestamp",
}

// ofTheHub are the annotations of arrived.
func ofTheHub(more map[string]string) map[string]string {
	all := map[string]string{
		SequenceNumber:             "long 7",
		Offset:                     "string 640",
		Enqueued:                   "timestamp 2026-11-18T11:06:40.123Z",
		PartitionKey:               "string dev1",
		iot.EnqueuedTime:           "timestamp 2026-11-18T11:06:40.123Z",
		iot.ConnectionDeviceID:     "string dev1",
		iot.ConnectionAuthMethod:   `string {"scope":"device","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}`,
		iot.ConnectionGenerationID: "string 638000000000000000",
		iot.MessageSource:          "string Telemetry",
	}
	maps.Copy(all, more)
	return all
}

func TestEncodeOfAMQP(t *testing.T) {
	var x Encoder
	e := arrived(iot.SourceAMQP, 0, full(), []byte("{}"))
	annotations, application, p, m := read(t, x.Append(nil, &e))
	if diff := cmp.Diff(ofTheHub(map[string]string{iot.InterfaceID: "string urn:if", iot.ComponentName: "string thermostat"}), annotations); diff != "" {
		t.Error(diff)
	}
	want := map[string]string{
		"k": "string w", "n": "int -5", "null": "null ", iot.CreationTime: "string 2026-11-27T00:00:00Z",
	}
	if diff := cmp.Diff(want, application); diff != "" {
		t.Error(diff)
	}
	if id, _ := p.MessageID.AsText(); id != "00010203-0405-0607-0809-0a0b0c0d0e0f" {
		t.Errorf("message-id %q, want the uuid as a string", id)
	}
	if id, _ := p.CorrelationID.AsText(); id != "5" || string(p.UserID) != "me" || string(p.ContentType) != "application/json" {
		t.Errorf("got %+v", p)
	}
	if m.BodyCode != amqpwire.CodeData || m.BodySections != 1 {
		t.Errorf("the body is %d sections of %x, want one of data", m.BodySections, m.BodyCode)
	}
}

func TestEncodeOfABag(t *testing.T) {
	var x Encoder
	bag := "$.mid=id%201&$.cid=c&$.uid=u&$.ct=application%2Fjson&$.ce=utf-8&$.exp=2026-11-18T11:06:40Z&$.ctime=then&$.ifid=urn&k=v&none"
	e := arrived(iot.SourceBag, iot.RawWill, []byte(bag), []byte("x"))
	e.Stamp.Identity.Module, e.Stamp.ModelID = "m", "dtmi:a;1"
	annotations, application, p, _ := read(t, x.Append(nil, &e))
	if diff := cmp.Diff(ofTheHub(map[string]string{
		iot.InterfaceID: "string urn", iot.ConnectionModuleID: "string m", iot.DataSchema: "string dtmi:a;1",
	}), annotations); diff != "" {
		t.Error(diff)
	}
	want := map[string]string{"k": "string v", "none": "null ", iot.CreationTime: "string then", "iothub-MessageType": "string Will"}
	if diff := cmp.Diff(want, application); diff != "" {
		t.Error(diff)
	}
	id, _ := p.MessageID.AsText()
	if id != "id 1" || string(p.ContentType) != "application/json" || p.AbsoluteExpiryTime != amqpwire.Some(int64(1_795_000_000_000)) {
		t.Errorf("got %+v", p)
	}
}

func TestWhatFitsNoFieldStaysAProperty(t *testing.T) {
	var x Encoder
	e := arrived(iot.SourceBag, 0, []byte("$.exp=soon&$.ct=t%C3%A9xt&$.new=1"), nil)
	_, application, p, _ := read(t, x.Append(nil, &e))
	want := map[string]string{iot.ExpiryTime: "string soon", iot.ContentType: "string téxt", "$.new": "string 1"}
	if diff := cmp.Diff(want, application); diff != "" {
		t.Error(diff)
	}
	if p.AbsoluteExpiryTime.Set || p.ContentType != nil {
		t.Errorf("got %+v", p)
	}
}

func TestEncoderTellsSendersApart(t *testing.T) {
	var x Encoder
	for range 2 {
		for _, id := range []string{"a", "b", "b", "a"} {
			e := arrived(iot.SourceBag, 0, nil, nil)
			e.Stamp.Identity.Device = id
			if annotations, _, _, _ := read(t, x.Append(nil, &e)); annotations[iot.ConnectionDeviceID] != "string "+id {
				t.Fatalf("an event of %s says %s", id, annotations[iot.ConnectionDeviceID])
			}
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	body := make([]byte, 256)
	for name, e := range map[string]iot.Event{
		"bag": arrived(iot.SourceBag, 0, []byte("$.ct=application%2Fjson&$.ce=utf-8"), body), "bare": arrived(iot.SourceBag, 0, nil, body),
		"amqp": arrived(iot.SourceAMQP, 0, full(), body),
	} {
		b.Run(name, func(b *testing.B) {
			var x Encoder
			var out []byte
			b.ReportAllocs()
			for b.Loop() {
				out = x.Append(out[:0], &e)
			}
		})
	}
}
