package wsconn

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// Server holds the connections of one node and the goroutines that serve all of them.
type Server struct {
	// Static after NewServer.
	cfg      Config
	obs      Observer
	upgrader websocket.Upgrader
	start    time.Time
	tick     time.Duration // of the wheel

	ready    readyList
	writers  sync.Pool // for senders
	stacks   stackPool
	watchdog watchdog
	stop     chan struct{}

	stats Stats

	// frozen is the time, in ns, in which the process did not run; beat is when the wheel last turned.
	frozen, beat atomic.Int64

	// readers counts started connections and waiting goroutines.
	readers, flushers, slow, others sync.WaitGroup

	// Invariant: wheel[c.slot][c.index] == c for each registered c; count is their number.
	mu     sync.Mutex
	wheel  [][]*Conn
	next   int // slot of the next new connection
	count  int
	closed bool

	closing sync.Once
}

// NewServer starts a server. obs may be nil. The caller must Close it.
func NewServer(cfg Config, obs Observer) *Server {
	cfg = cfg.withDefaults()
	if obs == nil {
		obs = noObserver{}
	}
	s := &Server{cfg: cfg, obs: obs, upgrader: newUpgrader(cfg), start: time.Now(), stop: make(chan struct{})}
	s.ready.wake.L, s.ready.now, s.ready.longest = &s.ready.mu, s.now, cfg.Rest
	s.writers.New = func() any { return newWriter(s) }
	s.watchdog.init()
	s.initWheel()
	for range cfg.Flushers {
		s.flushers.Go(s.runFlusher)
	}
	s.others.Go(s.turnWheel)
	s.others.Go(func() { s.watchdog.run(s.now) })
	return s
}

// now is the time since the server started.
func (s *Server) now() time.Duration { return time.Since(s.start) }

// Len returns the number of open connections.
func (s *Server) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count
}

// Opened returns the number of connections that there have been.
func (s *Server) Opened() uint64 { return s.stats.Accepted.Load() }

// Stats counts what operators watch, besides what the Observer is told.
type Stats struct {
	Accepted atomic.Uint64 // connections
	Dropped  atomic.Uint64 // data frames that waited for a client when it turned out slow, or gone
}

// dropped counts frames that will not be written; pings and close frames do not count.
func (s *Server) dropped(frames []Frame) {
	n := uint64(0)
	for _, f := range frames {
		if f.wire[0]&control == 0 {
			n++
		}
	}
	if n > 0 {
		s.stats.Dropped.Add(n)
	}
}

// Each calls fn for each connection that was open when it was called.
func (s *Server) Each(fn func(*Conn)) {
	for _, c := range s.all() {
		fn(c)
	}
}

func (s *Server) all() []*Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	cs := make([]*Conn, 0, s.count)
	for _, slot := range s.wheel {
		cs = append(cs, slot...)
	}
	return cs
}

// register puts c on the wheel; false when the server is closed.
func (s *Server) register(c *Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	c.slot, c.index = s.next, len(s.wheel[s.next])
	s.wheel[s.next] = append(s.wheel[s.next], c)
	s.next = (s.next + 1) % len(s.wheel)
	s.count++
	s.stats.Accepted.Add(1)
	return true
}

// unregister takes c off the wheel, if it is there.
func (s *Server) unregister(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.slot < 0 {
		return
	}
	slot := s.wheel[c.slot]
	last := len(slot) - 1
	slot[c.index] = slot[last]
	slot[c.index].index = c.index
	slot[last] = nil
	s.wheel[c.slot] = slot[:last]
	c.slot = -1
	s.count--
}

// Close closes all connections with 1001 and returns when every goroutine has ended. A client that does not
// answer is reset within a second; a Handler must return when its connection's Done is closed.
func (s *Server) Close() {
	s.closing.Do(func() {
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		s.watchdog.hurry()
		for _, c := range s.all() {
			c.beginClose(CloseInfo{Code: CodeGoingAway, Why: WhyShutdown})
		}
		s.readers.Wait()
		s.stacks.trim()
		s.stacks.trim()    // those that the first left, since they may have been used a moment ago
		s.watchdog.close() // ends when it has seen off the connections that were never started
		close(s.stop)
		s.others.Wait()
		s.ready.close()
		s.flushers.Wait()
		s.slow.Wait()
	})
}
