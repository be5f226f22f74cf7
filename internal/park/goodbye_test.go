package park

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/berth-iot/berth/internal/device"
)

func TestGoodbye(t *testing.T) {
	for _, c := range []struct {
		why    error
		kind   device.GoodbyeKind
		detail string
	}{
		{ErrPeerClosed, device.GoodbyeLost, "the peer closed the connection without DISCONNECT"},
		{ErrShutdown, device.GoodbyeShutdown, "the hub is stopping"},
		{ErrTooLarge, device.GoodbyeProtocol, "a packet exceeds the limit"},
		{ErrPanic, device.GoodbyeLost, "an internal error ended the connection"},
		{os.ErrDeadlineExceeded, device.GoodbyeLost, "the peer stopped reading"},
		{syscall.ECONNRESET, device.GoodbyeLost, "the peer reset the connection"},
		{syscall.EPIPE, device.GoodbyeLost, "the peer reset the connection"},
		{net.ErrClosed, device.GoodbyeLost, "the connection was lost"},
		{errors.New("odd"), device.GoodbyeLost, "the connection was lost"},
	} {
		got := Goodbye(fmt.Errorf("write: %w", c.why), "a packet", "DISCONNECT")
		if got != (device.Goodbye{Kind: c.kind, Detail: c.detail}) {
			t.Errorf("%v: %+v", c.why, got)
		}
	}
}
