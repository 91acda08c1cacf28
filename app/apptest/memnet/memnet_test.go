package memnet

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

var here, there = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 2}

// connect gives the two ends of a connection to a listener.
func connect(t *testing.T, n *Network) (client, server net.Conn) {
	t.Helper()
	l := n.Listen(there)
	defer l.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			t.Error(err)
		}
		accepted <- c
	}()
	client, err := l.Dial(t.Context(), here)
	if err != nil {
		t.Fatal(err)
	}
	return client, <-accepted
}

func TestConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := connect(t, new(Network))
		if client.LocalAddr() != here || client.RemoteAddr() != there || server.LocalAddr() != there ||
			server.RemoteAddr() != here {
			t.Error("addresses")
		}
		// As a socket it takes what nobody reads yet, and no more than its window.
		text := bytes.Repeat([]byte("0123456789"), 20000)
		written := make(chan int)
		go func() {
			n, err := client.Write(text)
			if err != nil {
				t.Error(err)
			}
			_ = client.Close()
			written <- n
		}()
		synctest.Wait()
		select {
		case <-written:
			t.Error("all of it was taken")
		default:
		}
		got := make(chan []byte)
		go func() {
			all, err := io.ReadAll(server)
			if err != nil {
				t.Error(err)
			}
			got <- all
		}()
		if n := <-written; n != len(text) {
			t.Errorf("%d bytes", n)
		}
		if !bytes.Equal(<-got, text) {
			t.Error("other bytes came")
		}
		if _, err := server.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("to a peer that has closed: %v", err)
		}
		if _, err := client.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}

func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := connect(t, new(Network))
		began := time.Now()
		_ = client.SetReadDeadline(began.Add(time.Second))
		if _, err := client.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) ||
			time.Since(began) != time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		var timeout net.Error
		if _, err := client.Read(nil); !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("it stays over: %v", err)
		}
		_ = client.SetDeadline(time.Time{})
		go func() {
			time.Sleep(time.Hour)
			_, _ = server.Write([]byte("late"))
		}()
		if n, err := client.Read(make([]byte, 10)); n != 4 || err != nil {
			t.Errorf("without a deadline: %d, %v", n, err)
		}
		_ = server.SetWriteDeadline(time.Now().Add(time.Minute))
		if n, err := server.Write(make([]byte, 2*window)); n != window || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("to a peer that does not read: %d, %v", n, err)
		}
	})
}

// A cut loses what is on its way, is told to both ends, and to who dials from then on.
func TestCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(Network)
		client, server := connect(t, n)
		if _, err := client.Write([]byte("lost")); err != nil {
			t.Fatal(err)
		}
		failed := make(chan error)
		go func() {
			_, err := client.Read(make([]byte, 1))
			failed <- err
		}()
		synctest.Wait()
		n.Cut()
		if err := <-failed; !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the client's read: %v", err)
		}
		if _, err := server.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the server's read: %v", err)
		}
		if _, err := server.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("the server's write: %v", err)
		}
		if _, err := n.Listen(there).Dial(t.Context(), here); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("dial: %v", err)
		}
	})
}

func TestClosedListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := new(Network).Listen(there)
		_ = l.Close()
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		if _, err := l.Dial(t.Context(), here); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Error(err)
		}
		if l.Addr() != there {
			t.Error(l.Addr())
		}
	})
}
