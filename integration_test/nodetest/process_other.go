//go:build unix && !linux

package nodetest

import "syscall"

func attributes() *syscall.SysProcAttr { return nil }
