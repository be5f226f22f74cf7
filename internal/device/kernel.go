package device

import (
	"net"
	"syscall"
)

// Kernel gives the function for Conn.Kernel: it asks the kernel about the TCP socket
// under nc, however many layers (NetConn) lie on it. It is nil where there is no
// such socket, or the system cannot be asked. The function may be called from any
// goroutine; once the socket is closed it gives the zero TCP, never the facts of
// whoever has its descriptor next.
func Kernel(nc net.Conn) func() TCP {
	for nc != nil {
		if socket, ok := nc.(syscall.Conn); ok {
			raw, err := socket.SyscallConn()
			if err != nil {
				return nil
			}
			return ask(raw)
		}
		over, ok := nc.(interface{ NetConn() net.Conn })
		if !ok {
			return nil
		}
		nc = over.NetConn()
	}
	return nil
}
