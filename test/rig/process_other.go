//go:build !linux

package rig

import "syscall"

// DieWithParent has no effect here: only Linux tells a child of its parent's end.
func DieWithParent() *syscall.SysProcAttr { return nil }
