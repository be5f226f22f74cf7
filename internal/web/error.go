package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/berth-iot/berth/internal/fault"
)

// tracking names one request to whoever looks for it in the log: 32 hex digits.
type tracking string

// requestID is the tracking id as x-ms-request-id shows it: with dashes
// (service-rest A.5: the two are equal without them).
func (t tracking) requestID() string {
	if len(t) != 32 {
		return string(t)
	}
	return string(t[:8] + "-" + t[8:12] + "-" + t[12:16] + "-" + t[16:20] + "-" + t[20:])
}

// gateway is the number behind -G: in a tracking id, Azure's word for the front end
// that answered. There is one here.
const gateway = 0

// at gives the tracking id in Azure's grammar,
// <32 hex>-G:<n>-TimeStamp:MM/dd/yyyy HH:mm:ss (connections-errors-logs 1.5).
func (t tracking) at(now time.Time) string {
	return fmt.Sprintf("%s-G:%d-TimeStamp:%s", string(t), gateway, now.UTC().Format("01/02/2006 15:04:05"))
}

// shape says how an error body is written.
type shape uint8

const (
	// classic: {"Message":"ErrorCode:<Name>;<text>","ExceptionMessage":"Tracking ID:…"}.
	// Every client decodes it, so it is used wherever one is known to depend on the name.
	classic shape = iota
	// nested: Message holds a JSON text with the number. The real hub answers direct
	// methods so.
	nested
)

// errorBody is the outer form of both shapes.
type errorBody struct {
	Message          string
	ExceptionMessage string
}

// nestedError is the JSON inside Message in the nested shape.
type nestedError struct {
	ErrorCode    int      `json:"errorCode"`
	TrackingID   string   `json:"trackingId"`
	Message      string   `json:"message"`
	Info         struct{} `json:"info"`
	TimestampUTC string   `json:"timestampUtc"`
}

// errorText is the body of an error.
func errorText(s shape, code fault.Code, text string, t tracking, now time.Time) []byte {
	body := errorBody{Message: "ErrorCode:" + code.Name() + ";" + text, ExceptionMessage: "Tracking ID:" + t.at(now)}
	if s == nested {
		inner := plainJSON(nestedError{
			ErrorCode: int(code), TrackingID: t.at(now), Message: text,
			TimestampUTC: now.UTC().Format("2006-01-02T15:04:05.9999999Z"),
		})
		body = errorBody{Message: string(inner)}
	}
	return plainJSON(body)
}

// describe is the text behind the code's name. What a client of the real hub gets to
// read is kept: the id for what is not registered, one word for refused credentials.
func describe(code fault.Code, err error, m *match) string {
	text := clean(fault.Detail(err))
	switch {
	case code == fault.DeviceNotFound && m.id.Device != "":
		return m.id.Device
	case code == fault.ModuleNotFound && m.id.Module != "":
		return m.id.String()
	case code.Status() >= http.StatusInternalServerError && code != fault.GenericNotImplemented && text == "":
		return "InternalServerError"
	case text == "":
		return code.Name()
	}
	return text
}

// clean bounds a text, and keeps ';' out of it: clients cut there.
func clean(text string) string {
	if len(text) > maxDetail {
		text = text[:maxDetail]
		for !utf8.ValidString(text) && text != "" {
			text = text[:len(text)-1]
		}
	}
	return strings.ReplaceAll(text, ";", ",")
}

// plainJSON encodes v without line feed and with '<', '>' and '&' as they are.
func plainJSON(v any) []byte {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		fault.Broken("encode %T: %v", v, err)
	}
	return []byte(strings.TrimSuffix(b.String(), "\n"))
}
