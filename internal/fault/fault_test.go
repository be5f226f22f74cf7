package fault

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

func TestNewAndWrapSayEachReaderTheirPart(t *testing.T) {
	e := New(DeviceNotFound, "registry.get", "device %q is not registered", "dev1")
	if got := e.Error(); got != `registry.get: 404001 DeviceNotFound: device "dev1" is not registered` {
		t.Errorf("operator reads %s", got)
	}
	w := Wrap(io.ErrUnexpectedEOF, ServerError, "telemetry.commit", "the message was not stored")
	if got := w.Error(); got != "telemetry.commit: 500001 ServerError: the message was not stored: unexpected EOF" {
		t.Errorf("operator reads %s", got)
	}
	if got := Detail(w); got != "the message was not stored" {
		t.Errorf("device reads %s", got)
	}
	if !errors.Is(w, io.ErrUnexpectedEOF) {
		t.Error("the cause is lost")
	}
	if got := (&Error{Code: DeviceNotFound, Op: "x"}).Error(); got != "x: 404001 DeviceNotFound" {
		t.Errorf("without detail: %s", got)
	}
}

func TestIsMatchesTheCodeAlone(t *testing.T) {
	err := fmt.Errorf("while opening: %w", New(DeviceNotFound, "a", "b"))
	if !errors.Is(err, &Error{Code: DeviceNotFound}) {
		t.Error("the same code does not match")
	}
	if errors.Is(err, &Error{Code: ModuleNotFound}) || errors.Is(err, io.EOF) {
		t.Error("another error matches")
	}
}

func TestOfAnUnclassifiedErrorIsServerError(t *testing.T) {
	inner := New(DeviceNotFound, "registry.get", "no")
	for _, tc := range []struct {
		err    error
		code   Code
		detail string
	}{
		{inner, DeviceNotFound, "no"},
		{fmt.Errorf("x: %w", inner), DeviceNotFound, "no"},
		{Wrap(inner, IotHubUnauthorizedAccess, "web", "outer"), IotHubUnauthorizedAccess, "outer"},
		{errors.Join(io.EOF, inner), DeviceNotFound, "no"},
		{io.EOF, ServerError, ""},
		{errors.New("secret path"), ServerError, ""},
	} {
		if got := Of(tc.err); got != tc.code {
			t.Errorf("%v: code %v, want %v", tc.err, got, tc.code)
		}
		if got := Detail(tc.err); got != tc.detail {
			t.Errorf("%v: detail %q, want %q", tc.err, got, tc.detail)
		}
	}
}

func TestUnknownCodeIsShownAsServerError(t *testing.T) {
	c := Code(418_000)
	if c.Name() != "ServerError" || c.Condition() != "amqp:internal-error" || c.ConnAck() != 3 || c.Scope() != ScopeOperation {
		t.Errorf("got %v %s %d %v", c, c.Condition(), c.ConnAck(), c.Scope())
	}
}

func TestBrokenPanicsWithTheInvariant(t *testing.T) {
	defer func() {
		if got := fmt.Sprint(recover()); !strings.Contains(got, "broken invariant: epoch 3 fell to 2") {
			t.Errorf("panicked with %s", got)
		}
	}()
	Broken("epoch %d fell to %d", 3, 2)
}
