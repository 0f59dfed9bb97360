//go:build unix

package copies

import (
	"os/exec"
	"syscall"
)

// killTogether puts a command into a process group of its own, which is killed with it.
func killTogether(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
}
