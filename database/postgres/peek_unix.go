//go:build !windows

package postgres

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// peeker reports whether there is something to read on a socket, without reading
// it. An idle connection has something to read when the server has closed its end.
type peeker struct {
	raw  syscall.RawConn
	look func(descriptor uintptr)
	ask  [1]unix.PollFd
	has  bool
}

func newPeeker(raw syscall.RawConn) *peeker {
	p := &peeker{raw: raw}
	p.look = func(descriptor uintptr) {
		p.ask[0] = unix.PollFd{Fd: int32(descriptor), Events: unix.POLLIN} //nolint:gosec // descriptors are small
		n, err := unix.Poll(p.ask[:], 0)
		p.has = n != 0 || err != nil && !errors.Is(err, unix.EINTR)
	}
	return p
}

// isReadable is for one caller at a time.
func (p *peeker) isReadable() bool {
	return p.raw.Control(p.look) != nil || p.has
}
