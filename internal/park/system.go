package park

import (
	"errors"
	"net"
)

// errNoDescriptor: this is no socket of the system's.
var errNoDescriptor = errors.New("park: not a TCP socket")

// system is what a parked connection needs of the operating system. A descriptor is
// used by its owner only, who closes it last.
type system interface {
	// adopt takes the descriptor out of nc, which it closes; errNoDescriptor: nc has none, and
	// is untouched.
	adopt(nc net.Conn) (fd int, err error)
	// watch reports from now on what happens to fd, under k, whenever it begins.
	watch(fd int, k key) error
	// read and write never wait: syscall.EAGAIN says that they would.
	read(fd int, p []byte) (int, error)
	write(fd int, p []byte) (int, error)
	// shut ends the write side.
	shut(fd int) error
	// drop ends watching and closes fd.
	drop(fd int)
	// close ends watching everything, and waits until nothing is reported any more.
	close()
}

// happening is something that happened to a watched descriptor.
type happening struct {
	k    key
	bits uint32
}
