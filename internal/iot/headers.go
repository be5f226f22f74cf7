package iot

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// appHeader begins the name of an HTTP header that carries an application property.
const appHeader = "iothub-app-"

// MaxHeaderName is the longest header name kept with a message, in bytes.
const MaxHeaderName = 1024

// errHeaders is what is wrong with SourceHeaders bytes that AppendHeader did not make.
var errHeaders = errors.New("message headers: a line is not \"name: value\"")

// AppendHeader appends one HTTP header to the Props of a SourceHeaders Raw, if it
// says anything of the message; others (Host, Authorization …) are left out. The
// name's letter case does not matter. A value with a control character is refused.
func AppendHeader(dst []byte, name, value string) ([]byte, error) {
	if len(name) > MaxHeaderName {
		return dst, fmt.Errorf("header name longer than %d bytes", MaxHeaderName)
	}
	lower := strings.ToLower(name)
	if !messageHeader(lower) {
		return dst, nil
	}
	if strings.ContainsFunc(lower, func(r rune) bool { return r <= ' ' || r == ':' || r == 0x7f }) {
		return dst, fmt.Errorf("header name %.64q is malformed", name)
	}
	if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return dst, fmt.Errorf("header %.64q has a control character in its value", name)
	}
	dst = append(dst, lower...)
	dst = append(dst, ": "...)
	dst = append(dst, value...)
	return append(dst, '\n'), nil
}

// messageHeader reports whether a lower-case header says something of the message.
func messageHeader(name string) bool {
	if len(name) > len(appHeader) && strings.HasPrefix(name, appHeader) {
		return true
	}
	return systemOfHeader(name) != ""
}

// ScanHeaders checks the syntax of SourceHeaders bytes without allocating.
func ScanHeaders(b []byte) error {
	for len(b) > 0 {
		line, rest, ended := bytes.Cut(b, []byte{'\n'})
		if !ended || bytes.Index(line, []byte(": ")) <= 0 {
			return errHeaders
		}
		b = rest
	}
	return nil
}

// parseHeaders reads "name: value\n" lines into system and application properties.
// It takes whatever ScanHeaders takes; of anything else it drops the bad lines.
func parseHeaders(headers string, system, application *propSet) {
	for line := range strings.Lines(headers) {
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		if !ok {
			continue
		}
		value = strings.ToValidUTF8(value, "\uFFFD")
		if app, isApp := strings.CutPrefix(name, appHeader); isApp && app != "" {
			application.set(Property{Name: strings.ToValidUTF8(app, "\uFFFD"), Value: value})
		} else if sys := systemOfHeader(name); sys != "" {
			system.set(Property{Name: sys, Value: value})
		}
	}
}

// systemOfHeader gives the system property that a lower-case header means, or "".
func systemOfHeader(name string) string {
	switch name {
	case "iothub-messageid":
		return MessageID
	case "iothub-correlationid":
		return CorrelationID
	case "iothub-userid":
		return UserID
	case "iothub-to":
		return To
	case "iothub-contenttype":
		return ContentType
	case "iothub-contentencoding":
		return ContentEncoding
	case "iothub-expiry":
		return ExpiryTime
	case "iothub-creationtimeutc":
		return CreationTime
	case "iothub-ack":
		return Ack
	case "iothub-messageschema":
		return MessageSchema
	case InterfaceID, ComponentName:
		return name
	}
	return ""
}
