package wsconn

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"rollcall/outbox"
	"rollcall/rawsock"
)

// Options are the settings of one connection.
type Options struct {
	ID          string
	Subprotocol string // named in the answer if the client offered it
	MaxMessage  int64  // instead of Config.MaxMessage, in bytes; 0: that one
}

// Accept answers the upgrade request, with the header fields that w has got. Origin, authentication and limits are the
// caller's, before it. On an error the HTTP answer has been sent: 400 or 405 for a request that is no WebSocket
// handshake, or has bytes behind it, 426 for another version of the protocol, 500 when the connection cannot be taken
// over, 503 after Sockets.Close.
//
// The caller must call Start. The HTTP handler should then return: its stack and buffers are freed that way.
func (s *Server) Accept(w http.ResponseWriter, r *http.Request, o Options) (*Conn, error) {
	c := &Conn{s: s, limit: o.MaxMessage}
	if c.limit <= 0 {
		c.limit = s.cfg.MaxMessage
	}
	if s.sockets.IsClosed() {
		http.Error(w, http.StatusText(http.StatusServiceUnavailable), http.StatusServiceUnavailable)
		return nil, outbox.ErrServerClosed
	}
	if len(r.Header["Sec-Websocket-Key"]) > 1 {
		refuseFor(w, "more than one Sec-WebSocket-Key")
		return nil, errTwoKeys
	}
	header := w.Header()
	if o.Subprotocol != "" && slices.Contains(websocket.Subprotocols(r), o.Subprotocol) {
		header.Set("Sec-Websocket-Protocol", o.Subprotocol)
	}
	ws, err := s.upgrader.Upgrade(hijacker{w, s.cfg.HandshakeTimeout}, plainLists(r), header)
	if err != nil {
		return nil, fmt.Errorf("upgrade: %w", err)
	}
	nc := rawsock.Plain(ws.NetConn())
	c.waits = rawsock.Direct(nc)
	c.in.rate = bucket{tokens: float64(2 * s.cfg.MessageRate), at: s.sockets.Now(), frozen: s.sockets.Frozen()}
	if err := s.sockets.Add(&c.Conn, nc, outbox.Options{ID: o.ID, Kind: kind{}, Answers: true}); err != nil {
		outbox.Abort(nc, true)
		return nil, err
	}
	return c, nil
}

// errTwoKeys: a request that a proxy may have read otherwise than we would.
var errTwoKeys = errors.New("more than one Sec-WebSocket-Key")

// IsUpgrade tells whether a request asks for a WebSocket. Empty elements of the lists are no fault (RFC 9110, 5.6.1.2),
// nor is HTTP/1.0, which proxies such as nginx speak by default.
func IsUpgrade(r *http.Request) bool {
	return hasToken(r.Header["Connection"], "upgrade") && hasToken(r.Header["Upgrade"], "websocket")
}

func hasToken(lists []string, token string) bool {
	for _, list := range lists {
		for element := range strings.SplitSeq(list, ",") {
			if strings.EqualFold(strings.Trim(element, " \t"), token) {
				return true
			}
		}
	}
	return false
}

// plainLists gives gorilla a request whose lists it can read: it stops at an empty element.
func plainLists(r *http.Request) *http.Request {
	if !IsUpgrade(r) || websocket.IsWebSocketUpgrade(r) {
		return r
	}
	plain := *r
	plain.Header = r.Header.Clone()
	plain.Header.Set("Connection", "Upgrade")
	plain.Header.Set("Upgrade", "websocket")
	return &plain
}

func refuseFor(w http.ResponseWriter, why string) {
	w.Header().Set("Sec-Websocket-Version", "13")
	http.Error(w, why, http.StatusBadRequest)
}

// refuse answers a bad handshake. RFC 6455, 4.4, asks for 426 when only the version is wrong.
func refuse(w http.ResponseWriter, r *http.Request, status int, _ error) {
	v := r.Header.Get("Sec-Websocket-Version")
	if status == http.StatusBadRequest && v != "" && v != "13" {
		status = http.StatusUpgradeRequired
		w.Header().Set("Upgrade", "websocket")
	}
	if status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", http.MethodGet)
	}
	w.Header().Set("Sec-Websocket-Version", "13")
	http.Error(w, http.StatusText(status), status)
}

// Start has the calls of h begin. It is called once and does not block. When the sockets have been closed it calls h in
// the caller's goroutine instead, so that h gets its Open and Closed.
func (c *Conn) Start(h outbox.Handler) {
	c.h = h
	if !c.s.sockets.Go(c.live) {
		c.waits = nil
		c.serve()
	}
}

// hijacker answers a client that did not wait for the answer to its handshake (RFC 6455, 4.1); the upgrader would close
// the socket without a word.
type hijacker struct {
	http.ResponseWriter
	timeout time.Duration
}

func (h hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	nc, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err == nil && rw.Reader.Buffered() > 0 {
		_ = nc.SetWriteDeadline(time.Now().Add(h.timeout))
		_, _ = io.WriteString(nc, earlyAnswer)
		outbox.CloseWrite(nc)
	}
	return nc, rw, err
}

const (
	earlyText   = "data before the handshake was complete\n"
	earlyAnswer = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n" +
		"Content-Type: text/plain; charset=utf-8\r\nContent-Length: 39\r\n\r\n" + earlyText
)

// newUpgrader returns the part of gorilla that answers upgrade requests. Compression is never negotiated.
func newUpgrader(cfg Config) websocket.Upgrader {
	return websocket.Upgrader{
		HandshakeTimeout: cfg.HandshakeTimeout,
		CheckOrigin:      func(*http.Request) bool { return true }, // the caller's, before
		Error:            refuse,
	}
}
