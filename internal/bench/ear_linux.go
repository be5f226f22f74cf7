package bench

import (
	"encoding/binary"
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// stampedRead gives a read that also tells, in Unix nanoseconds, when the kernel took in
// the last bytes of what it read (SO_TIMESTAMPNS; of TCP the newest segment's); nil if
// nc is no socket that can. One goroutine at a time reads.
func stampedRead(nc net.Conn) func([]byte) (int, int64, error) {
	socket, ok := nc.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return nil
	}
	var set error
	err = raw.Control(func(fd uintptr) { set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1) })
	if err != nil || set != nil {
		return nil
	}
	var control [128]byte
	return func(b []byte) (n int, at int64, err error) {
		var told int
		var failed error
		err = raw.Read(func(fd uintptr) bool {
			for {
				n, told, _, _, failed = unix.Recvmsg(int(fd), b, control[:], 0)
				if failed != unix.EINTR {
					return failed != unix.EAGAIN
				}
			}
		})
		switch {
		case err != nil:
			return 0, 0, err
		case failed != nil:
			return 0, 0, os.NewSyscallError("recvmsg", failed)
		case n == 0:
			return 0, 0, io.EOF
		}
		return n, stampOf(control[:told]), nil
	}
}

// stampOf finds the arrival time in what came beside the bytes; 0 if it is not there.
func stampOf(control []byte) int64 {
	messages, err := syscall.ParseSocketControlMessage(control)
	if err != nil {
		return 0
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SCM_TIMESTAMPNS && len(m.Data) >= 16 {
			seconds, nanos := binary.NativeEndian.Uint64(m.Data), binary.NativeEndian.Uint64(m.Data[8:])
			return int64(seconds)*1e9 + int64(nanos)
		}
	}
	return 0
}
