package main

import (
	"net/http"
	"net/netip"
	"sync"
	"time"

	"rollcall/app"
)

// refusal is why a socket or an upgrade was refused; it is also the label of the metrics. "": it was not.
type refusal string

const (
	refusedDraining    refusal = "draining"
	refusedMemory      refusal = "memory"
	refusedConnections refusal = "connections"
	refusedPerIP       refusal = "connections_per_ip"
	refusedPerUser     refusal = "connections_per_user"
	refusedRate        refusal = "connect_rate"
	refusedRatePerIP   refusal = "connect_rate_per_ip"
	refusedFiles       refusal = "files"
)

// upgradeRefusals and socketRefusals list why each may be refused, for metrics that want all labels from the start.
func upgradeRefusals() []refusal {
	return []refusal{refusedDraining, refusedMemory, refusedConnections, refusedPerIP, refusedPerUser, refusedRate, refusedRatePerIP}
}

func socketRefusals() []refusal { return []refusal{refusedConnections, refusedPerIP, refusedFiles} }

// answer is what a refused client gets (SPEC 3). 503 says that another node may take it, 429 that none should.
func (r refusal) answer() *app.Refusal {
	f := &app.Refusal{Status: http.StatusServiceUnavailable, RetryAfter: 5 * time.Second}
	switch r {
	case refusedDraining:
		f.RetryAfter, f.Detail = time.Second, "this node is going away"
	case refusedMemory:
		f.Detail = "this node is short of memory"
	case refusedConnections:
		f.Detail = "this node has as many connections as it may have"
	case refusedFiles:
		f.Detail = "this node has as many open files as it may have"
	case refusedRate:
		f.RetryAfter, f.Detail = time.Second, "this node takes no more new connections in this second"
	case refusedPerIP:
		f.Status, f.Detail = http.StatusTooManyRequests, "there are as many connections from this address as there may be"
	case refusedPerUser:
		f.Status, f.Detail = http.StatusTooManyRequests, "this user has as many connections as there may be"
	case refusedRatePerIP:
		f.Status, f.RetryAfter, f.Detail = http.StatusTooManyRequests, time.Second, "too many new connections from this address"
	default:
		return nil
	}
	return f
}

// limits are what admission holds; 0: none.
type limits struct {
	connections int // --max-connections
	perIP       int // --max-connections-per-ip
	perUser     int // --max-connections-per-user
	sockets     int // as many as there are files for
}

// spare is how many sockets more than a limit of connections may be open, since some speak HTTP alone: health checks,
// pages, back ends, and those that are to be told with an answer that they are refused.
func spare(limit int) int { return max(16, limit/10) }

// admission counts who is here against the limits: sockets from when they are accepted, connections from their upgrade.
//
// Invariant: open is the number of enters that were not refused, less the leaves. The values of from and of users are at
// least 1; the sum of from is open if perIP is set, else it is empty; users holds tokens' users alone, if perUser is set.
// plain is the number of knocks that were not refused, less those that have gone; plainFrom is to it as from is to open.
type admission struct {
	limits

	mu        sync.Mutex
	open      int // WebSockets
	from      tally[netip.Prefix]
	users     tally[string]
	plain     int // sockets that are none, or not yet
	plainFrom tally[netip.Prefix]
}

// tally counts by key; what has no count has no entry.
type tally[K comparable] map[K]int

func (t tally[K]) add(k K) { t[k]++ }

func (t tally[K]) drop(k K) {
	if t[k]--; t[k] <= 0 {
		delete(t, k)
	}
}

func newAdmission(l limits) *admission {
	return &admission{limits: l, from: tally[netip.Prefix]{}, users: tally[string]{}, plainFrom: tally[netip.Prefix]{}}
}

// who is whose connections count together.
type who struct {
	from netip.Prefix
	user string // of a token; "": nobody's
}

// enter counts one connection more, or says why it may not be. Each enter that was not refused needs one leave.
func (a *admission) enter(w who) refusal {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.connections > 0 && a.open >= a.connections:
		return refusedConnections
	case a.perIP > 0 && a.from[w.from] >= a.perIP:
		return refusedPerIP
	case a.perUser > 0 && w.user != "" && a.users[w.user] >= a.perUser:
		return refusedPerUser
	}
	a.open++
	if a.perIP > 0 {
		a.from.add(w.from)
	}
	if a.perUser > 0 && w.user != "" {
		a.users.add(w.user)
	}
	return ""
}

func (a *admission) leave(w who) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open--
	if a.perIP > 0 {
		a.from.drop(w.from)
	}
	if a.perUser > 0 && w.user != "" {
		a.users.drop(w.user)
	}
}

// knock counts a socket that has just been accepted, or says why it may not be. A proxy's sockets do not count by
// address: whose they are its requests will say. Each knock that was not refused needs one gone.
func (a *admission) knock(from netip.Prefix, proxy bool) refusal {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := a.open + a.plain
	switch {
	case a.sockets > 0 && all >= a.sockets:
		return refusedFiles
	case a.connections > 0 && all >= a.connections+spare(a.connections):
		return refusedConnections
	case a.perIP > 0 && !proxy && a.from[from]+a.plainFrom[from] >= a.perIP+spare(a.perIP):
		return refusedPerIP
	}
	a.plain++
	if a.perIP > 0 && !proxy {
		a.plainFrom.add(from)
	}
	return ""
}

// gone notes that such a socket is closed, or a connection now.
func (a *admission) gone(from netip.Prefix, proxy bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.plain--
	if a.perIP > 0 && !proxy {
		a.plainFrom.drop(from)
	}
}

// origin is what counts as one address: an IPv4 address; of an IPv6 address the first 64 bits, since one host may use all
// of them. What is no address counts as one together.
func origin(addr string) netip.Prefix {
	a, err := netip.ParseAddr(addr)
	if err != nil {
		return netip.Prefix{}
	}
	return originOf(a)
}

func originOf(a netip.Addr) netip.Prefix {
	a = a.Unmap()
	bits := 64
	if a.Is4() {
		bits = 32
	}
	p, _ := a.Prefix(bits) // these lengths are right for their kind
	return p
}

// admit decides about one upgrade (app.Config.Admit).
func (n *node) admit(r *http.Request, user string) (release func(), refused *app.Refusal) {
	w := who{origin(n.remoteAddr(r)), user}
	now := time.Now()
	var why refusal
	switch {
	case n.draining.Load():
		why = refusedDraining
	case n.memory.refuses(now):
		why = refusedMemory
	default:
		why = n.admission.enter(w)
	}
	if why == "" {
		if why = n.pace.take(now, w.from); why != "" {
			n.admission.leave(w)
		}
	}
	if why != "" {
		n.onRefuse(why)
		return nil, why.answer()
	}
	return func() { n.admission.leave(w) }, nil
}
