package main

import (
	"net/http"
	"net/netip"
	"sync"
	"time"

	"rollcall/app"
)

// refusal is why an upgrade was refused; it is also the label of the metric. "": it was not.
type refusal string

const (
	refusedDraining    refusal = "draining"
	refusedMemory      refusal = "memory"
	refusedConnections refusal = "connections"
	refusedPerIP       refusal = "connections_per_ip"
)

// refusals lists every refusal, for metrics that want all labels from the start.
func refusals() []refusal {
	return []refusal{refusedDraining, refusedMemory, refusedConnections, refusedPerIP}
}

// answer is what a refused client gets (SPEC 3). 503 says that another node may take it, 429 that none should.
func (r refusal) answer() *app.Refusal {
	switch r {
	case refusedDraining:
		return &app.Refusal{Status: http.StatusServiceUnavailable, RetryAfter: time.Second, Detail: "this node is going away"}
	case refusedMemory:
		return &app.Refusal{Status: http.StatusServiceUnavailable, RetryAfter: 5 * time.Second, Detail: "this node is short of memory"}
	case refusedConnections:
		return &app.Refusal{Status: http.StatusServiceUnavailable, RetryAfter: 5 * time.Second, Detail: "this node has as many connections as it may have"}
	case refusedPerIP:
		return &app.Refusal{Status: http.StatusTooManyRequests, RetryAfter: 5 * time.Second, Detail: "there are as many connections from this address as there may be"}
	}
	return nil
}

// admission counts connections against --max-connections and --max-connections-per-ip.
//
// Invariant: open is the number of enters that were not refused, less the leaves; the values of from are at least 1 and
// their sum is open, if perIP is set; else from is empty.
type admission struct {
	total, perIP int // 0: no limit

	mu   sync.Mutex
	open int
	from map[netip.Prefix]int
}

func newAdmission(total, perIP int) *admission {
	return &admission{total: total, perIP: perIP, from: map[netip.Prefix]int{}}
}

// enter counts one connection more, or says why it may not be. Each enter that was not refused needs one leave.
func (a *admission) enter(from netip.Prefix) refusal {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.total > 0 && a.open >= a.total:
		return refusedConnections
	case a.perIP > 0 && a.from[from] >= a.perIP:
		return refusedPerIP
	}
	a.open++
	if a.perIP > 0 {
		a.from[from]++
	}
	return ""
}

func (a *admission) leave(from netip.Prefix) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open--
	if a.perIP == 0 {
		return
	}
	if a.from[from]--; a.from[from] == 0 {
		delete(a.from, from)
	}
}

// origin is what counts as one address: an IPv4 address; of an IPv6 address the first 64 bits, since one host may use all
// of them. What is no address counts as one together.
func origin(addr string) netip.Prefix {
	a, err := netip.ParseAddr(addr)
	if err != nil {
		return netip.Prefix{}
	}
	a = a.Unmap()
	bits := 64
	if a.Is4() {
		bits = 32
	}
	p, _ := a.Prefix(bits) // these lengths are right for their kind
	return p
}

// admit decides about one upgrade (app.Config.Admit).
func (n *node) admit(r *http.Request) (release func(), refused *app.Refusal) {
	from := origin(n.remoteAddr(r))
	var why refusal
	switch {
	case n.draining.Load():
		why = refusedDraining
	case n.memory.refuses(time.Now()):
		why = refusedMemory
	default:
		why = n.admission.enter(from)
	}
	if why != "" {
		n.onRefuse(why)
		return nil, why.answer()
	}
	return func() { n.admission.leave(from) }, nil
}
