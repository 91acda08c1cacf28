package redistest

import "syscall"

// attributes has the server end with the test binary, however that ends.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
