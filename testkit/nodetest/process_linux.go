package nodetest

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// attributes has a node end with the test binary, however that ends.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// starve lets a process map no more memory that it can write to.
func starve(pid int) error {
	if err := unix.Prlimit(pid, unix.RLIMIT_DATA, &unix.Rlimit{Cur: 1 << 20, Max: 1 << 20}, nil); err != nil {
		return fmt.Errorf("limit the memory of process %d: %w", pid, err)
	}
	return nil
}
