//go:build unix && !linux

package nodetest

import (
	"errors"
	"syscall"
)

func attributes() *syscall.SysProcAttr { return nil }

func starve(int) error { return errors.ErrUnsupported }
