package apptest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
)

// client is a WebSocket of the case. Its reader goroutine takes what comes; the rest belongs to the goroutine of the
// case.
type client struct {
	began  time.Time // of the case
	number int
	what   string // "/ws/chat?user=ada, node 1"
	status int    // of the answer to its handshake; 101: it was let in
	answer string // the body of another one
	conn   *websocket.Conn
	read   int  // frames that the case has seen
	known  bool // the case knows that it is closed

	wake chan struct{} // buffer 1: something came

	mu     sync.Mutex
	frames []frame
	trace  []string // what it sent and got, with times
	ended  bool
	code   int // of the close, once it has ended
	reason string
}

// connect makes a client. A refusal is no error: it is in status and answer. It takes a millisecond, so that lists in
// the order in which users came are always the same.
func (w *world) connect(m *member, path string, header http.Header) (*client, error) {
	c := &client{began: w.began, number: len(w.clients) + 1, what: fmt.Sprintf("%s, node %d", path, m.number),
		wake: make(chan struct{}, 1)}
	w.clients = append(w.clients, c)
	time.Sleep(time.Millisecond)
	dialer := websocket.Dialer{NetDialContext: w.dial(m), HandshakeTimeout: time.Minute}
	conn, resp, err := dialer.DialContext(context.Background(), "ws://localhost"+path, header)
	switch {
	case err == nil:
		c.conn, c.status = conn, resp.StatusCode
		go c.reads()
	case errors.Is(err, websocket.ErrBadHandshake):
		body, _ := io.ReadAll(resp.Body) // what there is of it
		c.status, c.answer = resp.StatusCode, strings.TrimSpace(string(body))
		c.note("<- %d %s", c.status, c.answer)
		c.ended, c.known = true, true
	default:
		return nil, fmt.Errorf("connect: %w", err)
	}
	synctest.Wait()
	return c, nil
}

// note adds a line to the trace.
func (c *client) note(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trace = append(c.trace, at(c.began)+"  "+fmt.Sprintf(format, args...))
}

// reads takes frames until the connection ends.
func (c *client) reads() {
	for {
		kind, data, err := c.conn.ReadMessage()
		if err == nil {
			f := frame{string(data), kind == websocket.BinaryMessage}
			c.note("<- %s", f)
			c.mu.Lock()
			c.frames = append(c.frames, f)
			c.mu.Unlock()
			c.rouse()
			continue
		}
		code, reason := websocket.CloseAbnormalClosure, ""
		var closed *websocket.CloseError
		if errors.As(err, &closed) && closed.Code != websocket.CloseAbnormalClosure {
			code, reason = closed.Code, closed.Text
		}
		c.note("closed %d %s", code, reason)
		c.mu.Lock()
		c.ended, c.code, c.reason = true, code, reason
		c.mu.Unlock()
		_ = c.conn.Close()
		c.rouse()
		return
	}
}

func (c *client) rouse() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// next is the next frame, for which at most so much virtual time passes; nil: none came.
func (c *client) next(within time.Duration) *frame {
	found := c.waitFor(within, func() bool { return c.read < len(c.frames) })
	if !found {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.frames[c.read]
	c.read++
	return &f
}

// waitFor waits until something is so, or nothing more can come; the condition is asked with the lock held.
func (c *client) waitFor(within time.Duration, so func() bool) bool {
	defer synctest.Wait()
	timer := time.NewTimer(within)
	defer timer.Stop()
	for {
		c.mu.Lock()
		is, ended := so(), c.ended
		c.mu.Unlock()
		if is || ended {
			return is
		}
		select {
		case <-c.wake:
		case <-timer.C:
			return false
		}
	}
}

// open says why the client cannot be used any more; nil: it can.
func (c *client) open() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.conn == nil:
		return fmt.Errorf("it was refused with %d: %s", c.status, c.answer)
	case c.ended:
		return fmt.Errorf("it was closed with %d %s", c.code, c.reason)
	}
	return nil
}

// send sends a message, and lets all happen that follows.
func (c *client) send(text string, binary bool) error {
	kind := websocket.TextMessage
	if binary {
		kind = websocket.BinaryMessage
	}
	c.note("-> %s", frame{text, binary})
	err := c.conn.WriteMessage(kind, []byte(text))
	synctest.Wait()
	return err
}

// close says goodbye, and waits for the answer.
func (c *client) close(code int) {
	c.known = true
	c.note("-> close %d", code)
	// it may be closed
	_ = c.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""), time.Now().Add(time.Second))
	c.waitFor(time.Second, func() bool { return c.ended })
	_ = c.conn.Close()
	synctest.Wait()
}

// drop breaks the connection without a word.
func (c *client) drop() {
	c.known = true
	c.note("-> dropped")
	_ = c.conn.NetConn().Close()
	synctest.Wait()
}

// title names the client in reports.
func (c *client) title() string { return fmt.Sprintf("client %d (%s)", c.number, c.what) }

// lines are what it sent and got.
func (c *client) lines() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.trace...)
}
