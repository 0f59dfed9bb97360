//go:build !unix

package pgtest

import "syscall"

// serverProcess refuses: the janitor is a shell. TEST_DATABASE_URL works.
func serverProcess() (*syscall.SysProcAttr, error) {
	return nil, ErrNotInstalled
}

func give(*syscall.SysProcAttr, ...string) error {
	return nil
}
