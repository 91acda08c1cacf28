//go:build unix && (race || !(linux && (amd64 || arm64)))

package rawsock

import "syscall"

// readNow reads from a non-blocking socket.
func readNow(fd uintptr, p []byte) (int, error) { return counted(syscall.Read(int(fd), p)) }

// writeNow writes to a non-blocking socket.
func writeNow(fd uintptr, p []byte) (int, error) { return counted(syscall.Write(int(fd), p)) }

// counted is a result without the -1 of an error.
func counted(n int, err error) (int, error) { return max(n, 0), err }

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
