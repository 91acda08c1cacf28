//go:build unix && !linux

package nodetest

import "syscall"

// attributes: only Linux ends a process with its parent.
func attributes() *syscall.SysProcAttr { return nil }
