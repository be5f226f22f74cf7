package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// ErrNoHub says that no hub runs where one was looked for.
var ErrNoHub = errors.New("no hub is running")

// RefusedError is the hub's answer to a request it did not carry out.
type RefusedError struct {
	Status   int    // HTTP status
	Name     string // the code's name, such as DeviceNotFound; empty if the peer is no hub
	Text     string // the hub's sentence
	Tracking string // what the hub's own log knows the request by; may be empty
}

// Error gives the code's name and the hub's sentence.
func (r *RefusedError) Error() string {
	switch {
	case r.Name == "" && r.Text == "":
		return fmt.Sprintf("the hub answered %d %s", r.Status, http.StatusText(r.Status))
	case r.Name == "":
		return fmt.Sprintf("the hub answered %d: %s", r.Status, r.Text)
	case r.Text == "":
		return r.Name
	}
	return r.Name + ": " + r.Text
}

// Is matches another RefusedError of the same name.
func (r *RefusedError) Is(target error) bool {
	t, ok := target.(*RefusedError)
	return ok && t.Name == r.Name
}

// refusal reads an error answer: "ErrorCode:<Name>;<text>" in Message, and the name
// in the header iothub-errorcode (service-rest A.5).
func refusal(status int, header http.Header, body []byte) *RefusedError {
	r := &RefusedError{Status: status, Name: header.Get("Iothub-Errorcode")}
	var answer struct{ Message, ExceptionMessage string }
	if json.Unmarshal(body, &answer) != nil {
		return r
	}
	r.Text = answer.Message
	if rest, ok := strings.CutPrefix(answer.Message, "ErrorCode:"); ok {
		name, text, _ := strings.Cut(rest, ";")
		if r.Name == "" {
			r.Name = name
		}
		r.Text = text
	}
	if rest, ok := strings.CutPrefix(answer.ExceptionMessage, "Tracking ID:"); ok {
		r.Tracking = rest
	}
	return r
}
