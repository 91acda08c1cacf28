package wsconn

import (
	"syscall"

	"rollcall/outbox"
)

// Conn is one WebSocket connection. All methods may be called from any goroutine, also from the Handler.
type Conn struct {
	outbox.Conn

	// Static after Accept, h after Start.
	s     *Server
	limit int64 // of a message, in bytes
	h     outbox.Handler

	// waits is the socket if it can be waited for without reading, else nil (TLS). Static after Accept.
	waits syscall.RawConn

	// Owned by the goroutine that has the connection in hand; see serve.go.
	in     input
	opened bool
}

// kind is what WebSockets write (outbox.Kind).
type kind struct{}

// Encode: frames leave as they are.
func (kind) Encode(f outbox.Frame) string { return f.Wire() }

func (kind) Size(f outbox.Frame) int { return f.Len() }

// Ping carries nothing, since whatever the peer sends counts as an answer.
func (kind) Ping() string { return string([]byte{final | opPing, 0}) }

func (kind) Farewell(info outbox.CloseInfo) string { return closeFrame(info.Code, info.Reason) }

func (kind) IsData(wire string) bool { return wire[0]&control == 0 }
