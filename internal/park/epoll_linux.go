package park

import (
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// epoll is the system's side of a lot on Linux: one epoll for all its sockets,
// edge-triggered, one registration in the life of each. Its own descriptor waits in the
// runtime's poller, so no thread blocks for it.
type epoll struct {
	// fixed

	file     *os.File
	raw      syscall.RawConn
	happened func([]happening)
	highest  int // descriptors from here on are for others

	wg sync.WaitGroup
}

// newSystem makes an epoll that reports to happened, on a goroutine of its own.
func newSystem(happened func([]happening)) (system, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, errors.Join(os.NewSyscallError("fcntl", err), unix.Close(fd))
	}
	e := &epoll{file: os.NewFile(uintptr(fd), "epoll"), happened: happened, highest: highest()}
	if e.raw, err = e.file.SyscallConn(); err != nil {
		return nil, errors.Join(err, e.file.Close())
	}
	e.wg.Go(e.run)
	return e, nil
}

// highest is the first descriptor that connections leave to others. The kernel gives the
// lowest that is free, so one from here on means that all before it are in use.
func highest() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > math.MaxInt32 {
		return math.MaxInt32
	}
	most := int(limit.Cur)
	return most - min(keptDescriptors, most/keptPart)
}

// run reports what happens until the epoll is closed.
func (e *epoll) run() {
	var (
		events [eventsAtOnce]unix.EpollEvent
		hs     [eventsAtOnce]happening
		n      int
	)
	wait := func(fd uintptr) bool {
		var err error
		for {
			if n, err = unix.EpollWait(int(fd), events[:], 0); !errors.Is(err, unix.EINTR) {
				return err != nil || n > 0
			}
		}
	}
	for e.raw.Read(wait) == nil && n >= 0 {
		for i, ev := range events[:n] {
			hs[i] = happening{key{uint32(ev.Fd), uint32(ev.Pad)}, bitsOf(ev.Events)}
		}
		e.happened(hs[:n])
	}
}

func bitsOf(events uint32) (bits uint32) {
	if events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		bits |= readable
	}
	if events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		bits |= hungUp
	}
	if events&(unix.EPOLLOUT|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		bits |= writable
	}
	return bits
}

// errFew: the descriptors that are left are for others.
var errFew = errors.New("park: too few file descriptors are left")

func (e *epoll) adopt(nc net.Conn) (int, error) {
	socket, ok := nc.(*net.TCPConn)
	if !ok {
		return 0, errNoDescriptor
	}
	defer func() { _ = socket.Close() }() // its descriptor; the socket lives on in ours
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0, err
	}
	var fd int
	var failed error
	err = raw.Control(func(old uintptr) { fd, failed = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) })
	if err = errors.Join(err, os.NewSyscallError("fcntl", failed)); err != nil {
		return 0, err
	}
	if fd >= e.highest {
		return 0, errors.Join(errFew, unix.Close(fd))
	}
	return fd, nil
}

func (e *epoll) watch(fd int, k key) error {
	return e.control(unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{
		Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET,
		Fd:     int32(k.slot), Pad: int32(k.generation),
	})
}

func (e *epoll) control(op, fd int, event *unix.EpollEvent) error {
	var failed error
	err := e.raw.Control(func(epfd uintptr) { failed = unix.EpollCtl(int(epfd), op, fd, event) })
	if err = errors.Join(err, failed); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	return nil
}

func (e *epoll) read(fd int, p []byte) (int, error) {
	for {
		if n, err := unix.Read(fd, p); !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

func (e *epoll) write(fd int, p []byte) (int, error) {
	for {
		if n, err := unix.Write(fd, p); !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

func (e *epoll) shut(fd int) error {
	return os.NewSyscallError("shutdown", unix.Shutdown(fd, unix.SHUT_WR))
}

// drop unregisters first: a child that is being started may hold the socket open for a
// moment longer.
func (e *epoll) drop(fd int) {
	_ = e.control(unix.EPOLL_CTL_DEL, fd, nil)
	_ = unix.Close(fd) // on Linux the descriptor is gone whatever this says
}

func (e *epoll) close() {
	_ = e.file.Close()
	e.wg.Wait()
}
