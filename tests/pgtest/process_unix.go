//go:build unix

package pgtest

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// serverProcess says how the server's processes run: in a session of their
// own, so that a Ctrl-C meant for the tests does not reach them first, and as
// user postgres where the tests are run by root, whom PostgreSQL refuses.
func serverProcess() (*syscall.SysProcAttr, error) {
	attributes := &syscall.SysProcAttr{Setsid: true}
	if os.Geteuid() != 0 {
		return attributes, nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL does not run as root: %w", err)
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user id of postgres: %w", err)
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("group id of postgres: %w", err)
	}
	attributes.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return attributes, nil
}

// give makes the user that the server runs as the owner of the paths.
func give(to *syscall.SysProcAttr, paths ...string) error {
	if to.Credential == nil {
		return nil
	}
	for _, path := range paths {
		if err := os.Chown(path, int(to.Credential.Uid), int(to.Credential.Gid)); err != nil {
			return fmt.Errorf("give %s to the server's user: %w", path, err)
		}
	}
	return nil
}
