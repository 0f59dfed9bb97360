package server

import (
	"net"

	"golang.org/x/sys/unix"
)

// ignoreNew makes the kernel drop the packets that ask the listener for a connection.
// Otherwise it would establish connections until the listener is closed, and reset those
// that were not accepted. Where the kernel refuses, that is all that happens.
func ignoreNew(listener *net.TCPListener) {
	const flagsOffset, synFlag, allBytes = 13, 2, 1 << 31
	program := [...]unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: flagsOffset},
		{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: synFlag, Jt: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: allBytes},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	}
	control(listener, func(descriptor int) {
		_ = unix.SetsockoptSockFprog(descriptor, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
			&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
	})
}

// isWaiting reports whether a connection waits to be accepted.
func isWaiting(listener *net.TCPListener) (found bool) {
	control(listener, func(descriptor int) {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(descriptor), Events: unix.POLLIN}}, 0) //nolint:gosec // descriptors are small
		found = n > 0 && err == nil
	})
	return found
}

// control does nothing on a closed listener.
func control(listener *net.TCPListener, do func(descriptor int)) {
	raw, err := listener.SyscallConn()
	if err == nil {
		_ = raw.Control(func(descriptor uintptr) { do(int(descriptor)) })
	}
}
