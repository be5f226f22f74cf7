package c2d

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"

	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
)

// statuses are the ends of a message in the order of their numbers on disk.
func statuses() []iot.FeedbackStatus {
	return []iot.FeedbackStatus{
		1: iot.FeedbackSuccess, 2: iot.FeedbackRejected, 3: iot.FeedbackExpired,
		4: iot.FeedbackDeliveryCountExceeded, 5: iot.FeedbackPurged,
	}
}

// The feedback record, version 1, numbers as uvarints, texts as a length and as many bytes:
//
//	version    1 byte, 1
//	status     1 byte: 1 Success, 2 Rejected, 3 Expired, 4 DeliveryCountExceeded, 5 Purged
//	ended      100 ns ticks from year 1
//	generation of the identity
//	device id, module id, message id   three texts
const feedbackVersion = 1

// encodeFeedback is the stored record of an end.
func encodeFeedback(e *iot.MessageEnd, generation uint64) []byte {
	b := make([]byte, 0, 32+len(e.Identity.Device)+len(e.Identity.Module)+len(e.MessageID))
	b = append(b, feedbackVersion, byte(slices.Index(statuses(), e.Status)))
	b = binary.AppendUvarint(b, ticks(e.At))
	b = binary.AppendUvarint(b, generation)
	for _, s := range [...]string{e.Identity.Device, e.Identity.Module, e.MessageID} {
		b = store.AppendText(b, s)
	}
	return b
}

// decodeFeedback reads a stored record into what the sender is told. Errors as
// decodeQueue.
func decodeFeedback(b []byte) (iot.FeedbackRecord, error) {
	d := store.NewDecoder(b)
	if len(b) > maxFeedbackRecord {
		d.Fail()
	}
	if v := d.Byte(); d.Ok() && v != feedbackVersion {
		return iot.FeedbackRecord{}, fmt.Errorf("%w: feedback record of version %d", store.ErrFormat, v)
	}
	status := int(d.Byte())
	ended, generation := d.Uvarint(), d.Uvarint()
	r := iot.FeedbackRecord{
		EnqueuedTimeUTC: iot.TimeOf(timeOf(ended)), DeviceGenerationID: strconv.FormatUint(generation, 10),
		DeviceID: d.Text(), ModuleID: d.Text(), OriginalMessageID: d.Text(),
	}
	if !d.Done() || status == 0 || status >= len(statuses()) {
		return iot.FeedbackRecord{}, fmt.Errorf("%w: feedback record of %d bytes", store.ErrCorrupt, len(b))
	}
	r.StatusCode = statuses()[status]
	r.Description = string(r.StatusCode)
	return r, nil
}
