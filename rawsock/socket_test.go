//go:build unix

package rawsock

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

const answerTime = 10 * time.Second

// pair gives the two ends of a connection, the first one by Conn.
func pair(t *testing.T, network string) (raw, other net.Conn) {
	t.Helper()
	addr := "127.0.0.1:0"
	if network == "unix" {
		addr = filepath.Join(t.TempDir(), "socket")
	}
	ln, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	other, err = net.Dial(network, ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	raw, err = Listener(ln).Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = raw.Close(), other.Close() })
	return raw, other
}

// each runs a test on TCP and on unix sockets.
func each(t *testing.T, test func(t *testing.T, raw, other net.Conn)) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			raw, other := pair(t, network)
			test(t, raw, other)
		})
	}
}

// What one end writes the other reads, also what no socket's buffer holds at once; then comes the end.
func TestReadAndWrite(t *testing.T) {
	each(t, func(t *testing.T, raw, other net.Conn) {
		if Plain(raw) == raw || Plain(other) != other {
			t.Fatalf("%T is not raw, or %T is", raw, other)
		}
		data := make([]byte, 20<<20)
		for i := range data {
			data[i] = byte(rand.Uint32())
		}
		for _, way := range []struct{ from, to net.Conn }{{raw, other}, {other, raw}} {
			wrote := make(chan error, 1)
			go func() {
				n, err := way.from.Write(data)
				if n != len(data) {
					err = errors.Join(err, io.ErrShortWrite)
				}
				wrote <- err
			}()
			got := make([]byte, len(data))
			if _, err := io.ReadFull(way.to, got); err != nil || !bytes.Equal(got, data) {
				t.Fatalf("read: %v, or other bytes", err)
			}
			if err := <-wrote; err != nil {
				t.Fatal(err)
			}
		}
		_ = other.Close()
		if n, err := raw.Read(make([]byte, 8)); n != 0 || err != io.EOF {
			t.Errorf("at the end: %d, %v", n, err)
		}
	})
}

// Deadlines, Close and a lost peer end calls as they do with net's own connections.
func TestErrors(t *testing.T) {
	each(t, func(t *testing.T, raw, other net.Conn) {
		_ = raw.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
		var timeout net.Error
		if _, err := raw.Read(make([]byte, 8)); !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) ||
			!timeout.Timeout() {
			t.Errorf("past the deadline: %v", err)
		}
		_ = raw.SetReadDeadline(time.Time{})
		much := make([]byte, 64<<20)
		_ = raw.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		n, err := raw.Write(much)
		if !errors.Is(err, os.ErrDeadlineExceeded) || n == 0 || n == 64<<20 {
			t.Errorf("past the deadline: %d bytes, %v", n, err)
		}
		_ = raw.SetWriteDeadline(time.Time{})

		time.AfterFunc(5*time.Millisecond, func() { _ = other.Close() })
		var op *net.OpError
		for end := time.Now().Add(answerTime); err == nil || errors.Is(err, os.ErrDeadlineExceeded); {
			if _, err = raw.Write(make([]byte, 1<<20)); time.Now().After(end) {
				t.Fatal("the peer is gone, and it is written to")
			}
		}
		if !errors.As(err, &op) || !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("without a peer: %v", err)
		}
	})
	each(t, func(t *testing.T, raw, _ net.Conn) {
		time.AfterFunc(5*time.Millisecond, func() { _ = raw.Close() })
		if _, err := raw.Read(make([]byte, 8)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("closed: %v", err)
		}
		if n, err := raw.Read(nil); n != 0 || err != nil {
			t.Errorf("nothing read: %d, %v", n, err)
		}
	})
}

// A pool's check is asked only when there is something to read, and does not wait.
func TestQuiet(t *testing.T) {
	each(t, func(t *testing.T, raw, other net.Conn) {
		sc, err := raw.(syscall.Conn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		asked := 0
		check := func() error { return sc.Read(func(uintptr) bool { asked++; return true }) }
		if err := check(); err != nil || asked != 0 {
			t.Errorf("nothing to read: asked %d times, %v", asked, err)
		}
		_, _ = other.Write([]byte("x"))
		AwaitInput(Direct(Plain(raw)))
		if err := check(); err != nil || asked != 1 {
			t.Errorf("something to read: asked %d times, %v", asked, err)
		}
		_ = raw.Close()
		if err := check(); err == nil {
			t.Error("closed, and good")
		}
	})
}

// AwaitInput returns when there is input, was input before, at the end, and when the socket is closed.
func TestAwaitInput(t *testing.T) {
	each(t, func(t *testing.T, raw, other net.Conn) {
		direct := Direct(Plain(raw))
		wait := func(what string, after func()) {
			done := make(chan struct{})
			go func() { AwaitInput(direct); close(done) }()
			if after != nil {
				select {
				case <-done:
					t.Fatalf("%s: did not wait", what)
				case <-time.After(5 * time.Millisecond):
				}
				after()
			}
			select {
			case <-done:
			case <-time.After(answerTime):
				t.Fatalf("%s: waits on", what)
			}
		}
		wait("input", func() { _, _ = other.Write([]byte("x")) })
		wait("input from before", nil)
		_, _ = raw.Read(make([]byte, 1))
		wait("closed", func() { _ = raw.Close() })
	})
}

// A Writer writes what the socket takes, and a full one is no error.
func TestWriter(t *testing.T) {
	each(t, func(t *testing.T, conn, _ net.Conn) {
		raw := Writable(Plain(conn))
		var w Writer
		part := make([]byte, 1<<20)
		total, n := 0, len(part)
		for n == len(part) {
			var err error
			if n, err = w.Write(raw, part); err != nil || total > 256<<20 {
				t.Fatalf("%d bytes, then %v", total, err)
			}
			total += n
		}
		if n, err := w.Write(raw, part); n != 0 || err != nil {
			t.Errorf("full: %d, %v", n, err)
		}
		_ = conn.Close()
		if n, err := w.Write(raw, part); n != 0 || err == nil {
			t.Errorf("closed: %d, %v", n, err)
		}
	})
}

// What is no plain socket is left alone.
func TestNoSocket(t *testing.T) {
	a, b := net.Pipe()
	defer func() { _, _ = a.Close(), b.Close() }()
	if Conn(a) != a || Plain(a) != a || Direct(a) != nil || Writable(a) != nil {
		t.Error("a pipe is taken for a socket")
	}
}
