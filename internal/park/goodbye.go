package park

import (
	"errors"
	"os"
	"syscall"

	"github.com/berth-iot/berth/internal/device"
)

// Goodbye is the last word for what ended a connection, as Closed is told. unit is what the
// protocol sends, with its article ("a packet"), closing what a peer sends before it goes
// ("DISCONNECT").
func Goodbye(why error, unit, closing string) device.Goodbye {
	lost := func(detail string) device.Goodbye {
		return device.Goodbye{Kind: device.GoodbyeLost, Detail: detail}
	}
	switch {
	case errors.Is(why, ErrPeerClosed):
		return lost("the peer closed the connection without " + closing)
	case errors.Is(why, ErrShutdown):
		return device.Goodbye{Kind: device.GoodbyeShutdown, Detail: "the hub is stopping"}
	case errors.Is(why, ErrTooLarge):
		return device.Goodbye{Kind: device.GoodbyeProtocol, Detail: unit + " exceeds the limit"}
	case errors.Is(why, ErrPanic):
		return lost("an internal error ended the connection")
	case errors.Is(why, os.ErrDeadlineExceeded):
		return lost("the peer stopped reading")
	case errors.Is(why, syscall.ECONNRESET), errors.Is(why, syscall.EPIPE):
		return lost("the peer reset the connection")
	}
	return lost("the connection was lost")
}
