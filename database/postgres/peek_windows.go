package postgres

import "syscall"

// peeker knows nothing on Windows. The next statement, or the ping after a long idle
// time, finds a connection that has ended.
type peeker struct{}

func newPeeker(syscall.RawConn) *peeker { return &peeker{} }

func (*peeker) isReadable() bool { return false }
