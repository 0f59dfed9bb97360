//go:build !linux

package postgres

import "syscall"

// boundUnacknowledged does nothing: only Linux has such a bound.
func boundUnacknowledged(_, _ string, _ syscall.RawConn) error { return nil }
