package rig

import "syscall"

// DieWithParent ends a child with the test that started it, even when the test is
// killed.
func DieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
