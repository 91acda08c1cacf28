package wsconn

import (
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"rollcall/outbox"
)

// Config sets up a Server. Zero fields take the defaults.
type Config struct {
	// MaxMessage is the longest message taken from a client, in bytes, fragments together. Default 64 KiB.
	MaxMessage int64
	// MessageRate is how many messages and control frames a client may send per second on average, with bursts
	// of twice that. 0: no limit.
	MessageRate int
	// HandshakeTimeout bounds the write of the answer to the upgrade. Default 10 s.
	HandshakeTimeout time.Duration
}

func (c Config) withDefaults() Config {
	if c.MaxMessage <= 0 {
		c.MaxMessage = 64 << 10
	}
	if c.HandshakeTimeout <= 0 {
		c.HandshakeTimeout = 10 * time.Second
	}
	return c
}

// Server accepts the WebSockets of one node and reads them. They are among its Sockets, and end with these.
type Server struct {
	// Static after NewServer.
	cfg      Config
	sockets  *outbox.Sockets
	upgrader websocket.Upgrader

	stacks stackPool
	ticks  atomic.Uint32 // of the sockets: seconds, roughly
}

// NewServer makes a server whose connections are among sockets.
func NewServer(cfg Config, sockets *outbox.Sockets) *Server {
	cfg = cfg.withDefaults()
	s := &Server{cfg: cfg, sockets: sockets, upgrader: newUpgrader(cfg)}
	sockets.OnTick(s.tick)
	return s
}

func (s *Server) tick() {
	s.ticks.Add(1)
	s.stacks.trim()
}
