package outbox

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Sockets are the connections of one node, of all kinds, and the goroutines that serve all of them.
type Sockets struct {
	// Static after New.
	cfg   Config
	obs   Observer
	start time.Time
	tick  time.Duration // of the wheel

	ready    readyList
	writers  sync.Pool // for senders
	watchdog watchdog
	stop     chan struct{}

	stats Stats

	// frozen is the time, in ns, in which the process did not run; beat is when the wheel last turned.
	frozen, beat atomic.Int64

	// readers counts connections that were begun and waiting goroutines.
	readers, flushers, slow, others sync.WaitGroup

	// Invariant: wheel[c.slot][c.index] == c for each registered c; count is their number.
	mu     sync.Mutex
	wheel  [][]*Conn
	next   int // slot of the next new connection
	count  int
	closed bool
	onTick []func()

	closing sync.Once
}

// New begins to serve connections. obs may be nil. The caller must Close it.
func New(cfg Config, obs Observer) *Sockets {
	cfg = cfg.withDefaults()
	if obs == nil {
		obs = noObserver{}
	}
	s := &Sockets{cfg: cfg, obs: obs, start: time.Now(), stop: make(chan struct{})}
	s.ready.wake.L, s.ready.now, s.ready.longest = &s.ready.mu, s.Now, cfg.Rest
	s.writers.New = func() any { return newWriter(s) }
	s.watchdog.init()
	s.initWheel()
	for range cfg.Flushers {
		s.flushers.Go(s.runFlusher)
	}
	s.others.Go(s.turnWheel)
	s.others.Go(func() { s.watchdog.run(s.Now) })
	return s
}

// Now is the time since New.
func (s *Sockets) Now() time.Duration { return time.Since(s.start) }

// Len returns the number of open connections.
func (s *Sockets) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count
}

// Opened returns the number of connections that there have been.
func (s *Sockets) Opened() uint64 { return s.stats.Accepted.Load() }

// Stats counts what operators watch, besides what the Observer is told.
type Stats struct {
	Accepted atomic.Uint64 // connections
	Dropped  atomic.Uint64 // data frames that waited for a client when it turned out slow, or gone
}

// Stats are what was counted so far.
func (s *Sockets) Stats() *Stats { return &s.stats }

// Ping is Config.Ping.
func (s *Sockets) Ping() time.Duration { return s.cfg.Ping }

// Received tells the Observer of a complete message.
func (s *Sockets) Received(bytes int) { s.obs.Received(bytes) }

// OnTick has f called about once a second, and twice when no connection is left at the end.
func (s *Sockets) OnTick(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onTick = append(s.onTick, f)
}

func (s *Sockets) ticked() {
	s.mu.Lock()
	fs := s.onTick
	s.mu.Unlock()
	for _, f := range fs {
		f()
	}
}

// IsClosed tells whether Close has been called.
func (s *Sockets) IsClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// Add makes c, a zero Conn, the connection of a socket. ErrServerClosed: nothing is taken any more; c can be used, and
// ends at once.
func (s *Sockets) Add(c *Conn, nc net.Conn, o Options) error {
	c.init(s, nc, o)
	if !s.register(c) {
		return ErrServerClosed
	}
	return nil
}

// Go runs a connection's reader on a goroutine that Close waits for. false: Close has been called; it does not run.
func (s *Sockets) Go(reader func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.readers.Go(reader)
	}
	return !s.closed
}

// Each calls fn for each connection that was open when it was called.
func (s *Sockets) Each(fn func(*Conn)) {
	for _, c := range s.all() {
		fn(c)
	}
}

func (s *Sockets) all() []*Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	cs := make([]*Conn, 0, s.count)
	for _, slot := range s.wheel {
		cs = append(cs, slot...)
	}
	return cs
}

// register puts c on the wheel; false when the server is closed.
func (s *Sockets) register(c *Conn) bool {
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
func (s *Sockets) unregister(c *Conn) {
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
func (s *Sockets) Close() {
	s.closing.Do(func() {
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		s.watchdog.hurry()
		for _, c := range s.all() {
			c.BeginClose(CloseInfo{Code: CodeGoingAway, Why: WhyShutdown})
		}
		s.readers.Wait()
		s.ticked()
		s.ticked()         // for what the first left, since it may have been used a moment ago
		s.watchdog.close() // ends when it has seen off the connections that were never started
		close(s.stop)
		s.others.Wait()
		s.ready.close()
		s.flushers.Wait()
		s.slow.Wait()
	})
}
