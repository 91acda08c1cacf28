package overload

import (
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"
)

// Config of an Admission; 0: no limit.
type Config struct {
	Connections int // of the node
	PerAddress  int // connections
	PerUser     int // connections of a token's user
	ConnectRate int // new connections a second; of one address a tenth of it, at least one at a time
	Sockets     int // as many as there are files for

	Log *slog.Logger // is told when memory gets short
}

// Admission counts who is here against the limits: sockets from when they are accepted, connections from their upgrade.
// Its methods may be called from any goroutine.
//
// Invariant: open is the number of Enters that were not refused, less the Leaves. The values of from and of users are
// at least 1; the sum of from is open if PerAddress is set, else it is empty; users holds tokens' users alone, if
// PerUser is set. plain is the number of Accepts that were not refused, less the Releases; plainFrom is to it as from
// is to open.
type Admission struct {
	cfg    Config
	began  time.Time // the zero of rate
	memory *guard

	mu        sync.Mutex
	open      int // WebSockets
	from      tally[netip.Prefix]
	users     tally[string]
	plain     int // sockets that are none, or not yet
	plainFrom tally[netip.Prefix]
	rate      connectRate
}

// Client is whose connections count together.
type Client struct {
	Address netip.Prefix
	User    string // of a token; "": nobody's
}

// tally counts by key; what has no count has no entry.
type tally[K comparable] map[K]int

func (t tally[K]) add(k K) { t[k]++ }

func (t tally[K]) drop(k K) {
	if t[k]--; t[k] <= 0 {
		delete(t, k)
	}
}

// NewAdmission makes an Admission that nobody has come to.
func NewAdmission(cfg Config) *Admission {
	return &Admission{cfg: cfg, began: time.Now(), memory: newGuard(cfg.Log), rate: newConnectRate(cfg.ConnectRate),
		from: tally[netip.Prefix]{}, users: tally[string]{}, plainFrom: tally[netip.Prefix]{}}
}

// spare is how many sockets more than a limit of connections may be open, since some speak HTTP alone: health checks,
// pages, back ends, and those that are to be told with an answer that they are refused.
func spare(limit int) int { return max(16, limit/10) }

// Enter counts one connection more, or says why it may not be. Each Enter that was not refused needs one Leave. While
// memory is short it may wait for a garbage collection.
func (a *Admission) Enter(now time.Time, c Client) Reason {
	if a.memory.refuses(now) {
		return Memory
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.cfg.Connections > 0 && a.open >= a.cfg.Connections:
		return Connections
	case a.cfg.PerAddress > 0 && a.from[c.Address] >= a.cfg.PerAddress:
		return PerAddress
	case a.cfg.PerUser > 0 && c.User != "" && a.users[c.User] >= a.cfg.PerUser:
		return PerUser
	}
	if why := a.rate.take(now.Sub(a.began), c.Address); why != "" {
		return why
	}
	a.open++
	if a.cfg.PerAddress > 0 {
		a.from.add(c.Address)
	}
	if a.cfg.PerUser > 0 && c.User != "" {
		a.users.add(c.User)
	}
	return ""
}

// Leave is Enter's other side.
func (a *Admission) Leave(c Client) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open--
	if a.cfg.PerAddress > 0 {
		a.from.drop(c.Address)
	}
	if a.cfg.PerUser > 0 && c.User != "" {
		a.users.drop(c.User)
	}
}

// Accept counts a socket that has just been accepted, or says why it may not be. A proxy's sockets do not count by
// address: whose they are its requests will say. Each Accept that was not refused needs one Release.
func (a *Admission) Accept(from netip.Prefix, proxy bool) Reason {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := a.open + a.plain
	switch {
	case a.cfg.Sockets > 0 && all >= a.cfg.Sockets:
		return Files
	case a.cfg.Connections > 0 && all >= a.cfg.Connections+spare(a.cfg.Connections):
		return Connections
	case a.cfg.PerAddress > 0 && !proxy && a.from[from]+a.plainFrom[from] >= a.cfg.PerAddress+spare(a.cfg.PerAddress):
		return PerAddress
	}
	a.plain++
	if a.cfg.PerAddress > 0 && !proxy {
		a.plainFrom.add(from)
	}
	return ""
}

// Release notes that such a socket is closed, or a connection now.
func (a *Admission) Release(from netip.Prefix, proxy bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.plain--
	if a.cfg.PerAddress > 0 && !proxy {
		a.plainFrom.drop(from)
	}
}

// Check gives how many connections and other sockets there are, and what is wrong with the counts; for tests.
func (a *Admission) Check() (open, plain int, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	sum := 0
	for from, n := range a.from {
		if sum += n; n < 1 {
			err = fmt.Errorf("%v has %d connections", from, n)
		}
	}
	if a.open < 0 || a.plain < 0 || a.cfg.PerAddress > 0 && sum != a.open || a.cfg.PerAddress == 0 && sum != 0 {
		err = fmt.Errorf("%d connections, %d by address, %d sockets", a.open, sum, a.plain)
	}
	return a.open, a.plain, err
}

// ParseAddress is Address for a text. What is no address counts as one together.
func ParseAddress(text string) netip.Prefix {
	a, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}
	}
	return Address(a)
}

// Address is what counts as one address: an IPv4 address; of an IPv6 address the first 64 bits, since one host may use
// all of them.
func Address(a netip.Addr) netip.Prefix {
	a = a.Unmap()
	bits := 64
	if a.Is4() {
		bits = 32
	}
	p, _ := a.Prefix(bits) // these lengths are right for their kind
	return p
}
