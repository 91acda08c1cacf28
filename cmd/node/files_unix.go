//go:build unix

package main

import (
	"errors"
	"syscall"
)

// raiseFiles raises the limit of open files to the hard one, and gives it; false: it is not known.
func raiseFiles() (int, bool) {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil {
		return 0, false
	}
	if raised := (syscall.Rlimit{Cur: l.Max, Max: l.Max}); l.Cur < l.Max &&
		syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised) == nil {
		l = raised
	}
	return int(min(uint64(l.Cur), 1<<30)), true
}

// outOfFiles tells that a call failed since the process, or the system, has as many open files as it may have.
func outOfFiles(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}
