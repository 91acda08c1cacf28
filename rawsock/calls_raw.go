//go:build linux && (amd64 || arm64) && !race

package rawsock

import (
	"syscall"
	"unsafe"
)

// The race detector takes what passes a socket for an order of events, and sees it only in the calls of package
// syscall; under it those are used.

// send and recv cost less than write and read, which first find out that the file is a socket.

// readNow reads from a non-blocking socket.
func readNow(fd uintptr, p []byte) (int, error) {
	return transfer(syscall.SYS_RECVFROM, fd, p, syscall.MSG_DONTWAIT)
}

// writeNow writes to a non-blocking socket.
func writeNow(fd uintptr, p []byte) (int, error) {
	return transfer(syscall.SYS_SENDTO, fd, p, syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL)
}

func transfer(trap, fd uintptr, p []byte, flags uintptr) (int, error) {
	n, _, errno := syscall.RawSyscall6(trap, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), flags, 0,
		0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// hasInput reports whether a read of the socket would return something: bytes, the end or an error.
func hasInput(fd uintptr) bool {
	var b [1]byte
	const flags = syscall.MSG_PEEK | syscall.MSG_DONTWAIT
	_, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&b)), 1, flags, 0, 0)
	return errno != syscall.EAGAIN
}
