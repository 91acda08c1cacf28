//go:build unix && (race || !(linux && (amd64 || arm64)))

package rawsock

import "syscall"

// readNow reads from a non-blocking socket.
func readNow(fd uintptr, p []byte) (int, error) { return syscall.Read(int(fd), p) }

// writeNow writes to a non-blocking socket.
func writeNow(fd uintptr, p []byte) (int, error) { return syscall.Write(int(fd), p) }

// hasInput reports whether a read of the socket would return something: bytes, the end or an error.
func hasInput(fd uintptr) bool {
	var b [1]byte
	for {
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK)
		if err != syscall.EINTR {
			return err != syscall.EAGAIN
		}
	}
}
