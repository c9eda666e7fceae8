package platform

import (
	"os/exec"
	"syscall"
)

// DieWithParent has the kernel end a program, which is not started yet, when this process ends, however it ends:
// an interrupted test leaves nothing running.
func DieWithParent(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGTERM // and it ends its own children
}
