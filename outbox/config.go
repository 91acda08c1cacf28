package outbox

import (
	"runtime"
	"time"
)

// Config sets up Sockets. Zero fields take the defaults.
type Config struct {
	// SendQueue bounds what waits for one client, in bytes of frames plus 32 for each. A frame counts for half of it at
	// most, so that one of any size and what follows it have room. Default 1 MiB.
	SendQueue int
	// Ping is the time between two pings; after two unanswered ones the peer is dead. Default 25 s. Negative:
	// no pings.
	Ping time.Duration
	// Flushers is the number of goroutines that write. Default: GOMAXPROCS less one, so that what is to be written next
	// goes on to be made.
	Flushers int
	// Rest is the longest pause between two rounds of writes, in which frames gather once writing takes a quarter of
	// the time: it is latency under load that buys CPU. Default 32 ms. Negative: none.
	Rest time.Duration
}

func (c Config) withDefaults() Config {
	if c.SendQueue <= 0 {
		c.SendQueue = 1 << 20
	}
	if c.Ping == 0 {
		c.Ping = 25 * time.Second
	}
	if c.Flushers <= 0 {
		c.Flushers = max(1, runtime.GOMAXPROCS(0)-1)
	}
	switch {
	case c.Rest == 0:
		c.Rest = 32 * time.Millisecond
	case c.Rest < 0:
		c.Rest = 0
	}
	return c
}

// mostOfFrame is what one frame costs of a SendQueue at most, in bytes.
func (c *Config) mostOfFrame() int { return c.SendQueue / 2 }

// Observer is told what happens, for metrics and logs. Its methods are called from many goroutines at once and
// must not block.
type Observer interface {
	// Received is called for each complete message, before the Handler gets it.
	Received(bytes int)
	// Sent is called with sums, each time some frames have been written.
	Sent(frames, bytes int)
	// Closed is called once for each connection, before Handler.Closed.
	Closed(c *Conn, info CloseInfo)
	// Panicked is called when a Handler method panicked.
	Panicked(c *Conn, value any, stack []byte)
}

// noObserver is the Observer of Sockets that were given none.
type noObserver struct{}

func (noObserver) Received(int)                {}
func (noObserver) Sent(int, int)               {}
func (noObserver) Closed(*Conn, CloseInfo)     {}
func (noObserver) Panicked(*Conn, any, []byte) {}
