package load

import (
	"fmt"
	"net"
	"runtime"
	"syscall"
	"time"
)

// floor is one 150-byte write for each delivery: CPU seconds for each million writes of the goroutine that makes them,
// to so many sockets.
func floor(members int, d time.Duration) (float64, error) {
	l, err := net.Listen("tcp", hostPort(0))
	if err != nil {
		return 0, err
	}
	defer l.Close()
	crowd, err := NewCrowd()
	if err != nil {
		return 0, err
	}
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	for range members {
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			return 0, err
		}
		addr := l.Addr().(*net.TCPAddr)
		if err := syscall.Connect(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: addr.Port}); err != nil {
			return 0, err
		}
		conn, err := l.Accept()
		if err != nil {
			return 0, err
		}
		conns = append(conns, conn)
		if err := crowd.add(fd, false); err != nil {
			return 0, err
		}
	}
	stop := make(chan struct{})
	done := make(chan error, 1)
	go func() { // the readers
		for {
			select {
			case <-stop:
				crowd.Close()
				done <- nil
				return
			default:
			}
			if err := crowd.Serve(10*time.Millisecond, ignore); err != nil {
				done <- err
				return
			}
		}
	}()
	per, err := writeFor(conns, d)
	close(stop)
	if rerr := <-done; err == nil {
		err = rerr
	}
	return per, err
}

// writeFor writes to all in turn, on a thread of its own whose CPU time is read.
func writeFor(conns []net.Conn, d time.Duration) (perMillion float64, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	frame := append([]byte{0x82, 126, 0, 146}, make([]byte, 146)...) // a binary frame of 150 bytes
	before, err := threadCPU()
	if err != nil {
		return 0, err
	}
	writes := 0
	for end := time.Now().Add(d); time.Now().Before(end); {
		for _, c := range conns {
			if _, err := c.Write(frame); err != nil {
				return 0, fmt.Errorf("write: %w", err)
			}
		}
		writes += len(conns)
	}
	after, err := threadCPU()
	return (after - before).Seconds() / float64(writes) * 1e6, err
}

func threadCPU() (time.Duration, error) {
	const ofThread = 1 // RUSAGE_THREAD
	var u syscall.Rusage
	if err := syscall.Getrusage(ofThread, &u); err != nil {
		return 0, fmt.Errorf("read CPU time: %w", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}
