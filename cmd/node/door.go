package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"time"

	"rollcall/auth"
	"rollcall/overload"
)

const (
	// refuseTimeout is how long such a socket may take for its request.
	refuseTimeout = time.Second
	// acceptPause is how long nothing is accepted after an error that leaves no other way.
	acceptPause = 50 * time.Millisecond
	// acceptTold is the least time between two lines of the log about such errors.
	acceptTold = 10 * time.Second
)

// door is the node's listener. Sockets count against the limits from the moment they are accepted, and one that is too
// many is refused before it has said a word. No error of accepting ends or spins it, but that it is closed.
//
// It keeps a file in reserve. When there are no more files it gives that one up for the socket that waits, which is
// told so and closed, and takes it back: so nobody is left to wait for an answer that never comes.
type door struct {
	net.Listener
	admission *overload.Admission
	proxies   auth.Proxies
	patient   int  // sockets that may wait to be told why they are refused; others are told at once
	speaksTLS bool // a refused client cannot be told why
	onRefuse  func(overload.Reason)
	log       *slog.Logger

	open func() (io.Closer, error) // a file for the reserve; static

	// Owned by Accept.
	reserve io.Closer // nil: it is given up
	told    time.Time

	shut     chan struct{} // closed by Close
	refusals sync.WaitGroup

	mu      sync.Mutex
	refused map[net.Conn]struct{} // being told; nil: closed
}

func newDoor(ln net.Listener, a *overload.Admission, f files, cfg *Config, onRefuse func(overload.Reason),
	log *slog.Logger) *door {
	d := &door{Listener: ln, admission: a, proxies: cfg.proxies, patient: f.refused, speaksTLS: cfg.TLSCert != "",
		onRefuse: onRefuse, log: log,
		open: func() (io.Closer, error) { return os.Open(os.DevNull) }, shut: make(
			chan struct{}), refused: map[net.Conn]struct{}{}}
	d.holdReserve()
	return d
}

// Accept gives the next socket that may come in. Whoever takes it tells watch how it goes on.
func (d *door) Accept() (net.Conn, error) {
	for {
		nc, err := d.Listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil, err
		case err != nil:
			if !d.recover(err) {
				return nil, net.ErrClosed
			}
			continue
		case !d.holdReserve(): // nc has the last file
			d.refuseNow(nc, overload.Files)
			d.holdReserve()
			continue
		}
		from, proxy := d.peer(nc)
		if why := d.admission.Accept(from, proxy); why != "" {
			d.refuse(nc, why)
			continue
		}
		return nc, nil
	}
}

// recover sees to it that the next accept can do better; false: the door was closed meanwhile.
func (d *door) recover(err error) bool {
	if now := time.Now(); now.Sub(d.told) >= acceptTold {
		d.told = now
		d.log.Error("accept failed", "error", err)
	}
	if outOfFiles(err) && d.reserve != nil {
		_ = d.reserve.Close() // the next accept has a file
		d.reserve = nil
		return true
	}
	select {
	case <-time.After(acceptPause):
	case <-d.shut:
		return false
	}
	d.holdReserve()
	return true
}

// holdReserve has a file in reserve, if there is one.
func (d *door) holdReserve() bool {
	if d.reserve == nil {
		f, err := d.open()
		if err != nil {
			return false
		}
		d.reserve = f
	}
	return true
}

// Close ends accepting, and the telling of those who are refused.
func (d *door) Close() error {
	err := d.Listener.Close()
	d.mu.Lock()
	if d.refused != nil {
		close(d.shut)
	}
	for nc := range d.refused {
		_ = nc.Close()
	}
	d.refused = nil
	d.mu.Unlock()
	d.refusals.Wait()
	return err
}

// watch is told by http.Server of its sockets.
func (d *door) watch(nc net.Conn, s http.ConnState) {
	if s == http.StateHijacked || s == http.StateClosed {
		d.admission.Release(d.peer(nc))
	}
}

// peer is what counts as the socket's address, and whether it is a trusted proxy's.
func (d *door) peer(nc net.Conn) (from netip.Prefix, proxy bool) {
	tcp, ok := nc.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}, false
	}
	a := tcp.AddrPort().Addr().Unmap()
	return overload.Address(a), d.proxies.Trust(a)
}

// refuse tells a client why it is refused, once it has asked: what it has sent and nobody has read would destroy the
// answer on its way. When too many are being told, it is told at once.
func (d *door) refuse(nc net.Conn, why overload.Reason) {
	d.mu.Lock()
	waits := !d.speaksTLS && d.refused != nil && len(d.refused) < d.patient
	if waits {
		d.refused[nc] = struct{}{}
		d.refusals.Go(func() { d.tell(nc, why) })
	}
	d.mu.Unlock()
	if !waits {
		d.refuseNow(nc, why)
		return
	}
	d.onRefuse(why)
}

// tell reads a request, answers it, and waits for the client to close.
func (d *door) tell(nc net.Conn, why overload.Reason) {
	_ = nc.SetDeadline(time.Now().Add(refuseTimeout))
	_, _ = http.ReadRequest(bufio.NewReader(io.LimitReader(nc, maxHeader))) // whatever it is
	_ = nc.SetDeadline(time.Now().Add(refuseTimeout))
	if _, err := nc.Write(answerOf(why)); err == nil {
		if half, ok := nc.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
			_, _ = io.Copy(io.Discard, nc)
		}
	}
	_ = nc.Close()
	d.mu.Lock()
	delete(d.refused, nc)
	d.mu.Unlock()
}

// refuseNow tells a client without waiting for what it wants; over TLS nothing can be told.
func (d *door) refuseNow(nc net.Conn, why overload.Reason) {
	d.onRefuse(why)
	if !d.speaksTLS {
		_ = nc.SetDeadline(time.Now().Add(time.Millisecond))
		_, _ = nc.Read(make([]byte, 4<<10)) // what has come already
		_ = nc.SetDeadline(time.Now().Add(time.Millisecond))
		_, _ = nc.Write(answerOf(why))
	}
	_ = nc.Close()
}

// answerOf is a refusal as it goes over the wire.
func answerOf(why overload.Reason) []byte {
	a := answerBuffer{header: http.Header{}}
	refusalFor(why).Write(&a)
	resp := http.Response{StatusCode: a.status, ProtoMajor: 1, ProtoMinor: 1, Header: a.header, Close: true,
		ContentLength: int64(a.body.Len()), Body: io.NopCloser(&a.body)}
	var wire bytes.Buffer
	_ = resp.Write(&wire) // a buffer takes all
	return wire.Bytes()
}

// answerBuffer is a ResponseWriter of an answer that no server sends.
type answerBuffer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answerBuffer) Header() http.Header         { return a.header }
func (a *answerBuffer) WriteHeader(status int)      { a.status = status }
func (a *answerBuffer) Write(p []byte) (int, error) { return a.body.Write(p) }
