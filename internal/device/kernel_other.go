//go:build !linux

package device

import "syscall"

// ask has nobody to ask.
func ask(syscall.RawConn) func() TCP { return nil }
