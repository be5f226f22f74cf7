package device

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ask reads TCP_INFO, which takes about a microsecond.
func ask(raw syscall.RawConn) func() TCP {
	return func() TCP {
		var info *unix.TCPInfo
		var asked error
		err := raw.Control(func(fd uintptr) {
			info, asked = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		})
		if err != nil || asked != nil {
			return TCP{} // closed meanwhile, or a kernel that does not tell
		}
		return TCP{
			State:        info.State,
			RTT:          time.Duration(info.Rtt) * time.Microsecond,
			Unacked:      info.Unacked,
			Retransmits:  info.Retransmits,
			LastDataRecv: time.Duration(info.Last_data_recv) * time.Millisecond,
			LastAckRecv:  time.Duration(info.Last_ack_recv) * time.Millisecond,
		}
	}
}
