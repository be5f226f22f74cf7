package client

import (
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"
)

func FuzzRefusal(f *testing.F) {
	f.Add(404, "DeviceNotFound", []byte(`{"Message":"ErrorCode:DeviceNotFound;dev1","ExceptionMessage":"Tracking ID:ab-G:0-TimeStamp:01/01/2026 00:00:00"}`))
	f.Add(409, "", []byte(`{"Message":"ErrorCode:DeviceAlreadyExists;A device with ID 'x' is already registered."}`))
	f.Add(404, "", []byte(`{"Message":"{\"errorCode\":404103,\"message\":\"late\"}","ExceptionMessage":""}`))
	f.Add(502, "", []byte("<html>"))
	f.Add(0, "", []byte{})
	f.Fuzz(func(t *testing.T, status int, name string, body []byte) {
		header := http.Header{}
		if name != "" {
			header.Set("iothub-errorcode", name)
		}
		r := refusal(status, header, body)
		if r.Status != status || name != "" && r.Name != name {
			t.Errorf("got %+v", r)
		}
		if r.Error() == "" {
			t.Error("a refusal without words")
		}
		if r.Name != "" && !strings.HasPrefix(r.Error(), r.Name) {
			t.Errorf("%q does not begin with the code's name %q", r.Error(), r.Name)
		}
		if utf8.ValidString(name) && !utf8.ValidString(r.Text) {
			t.Errorf("text %q", r.Text)
		}
	})
}
