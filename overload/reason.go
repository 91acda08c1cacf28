package overload

import (
	"net/http"
	"time"
)

// Reason is why a socket or an upgrade is refused; it is also the label of metrics. "": it is not.
type Reason string

const (
	Draining      Reason = "draining"
	Memory        Reason = "memory"
	Connections   Reason = "connections"
	PerAddress    Reason = "connections_per_ip"
	PerUser       Reason = "connections_per_user"
	RateOfNode    Reason = "connect_rate"
	RateOfAddress Reason = "connect_rate_per_ip"
	Files         Reason = "files"
)

// refusals are all reasons: what a refused client is told (SPEC 3), and whether upgrades, sockets or both are refused
// for it. 503 says that another node may take the client, 429 that none should.
var refusals = []struct {
	reason          Reason
	upgrade, socket bool
	status          int
	retryAfter      time.Duration
	detail          string
}{
	{Draining, true, false, http.StatusServiceUnavailable, soon, "this node is going away"},
	{Memory, true, false, http.StatusServiceUnavailable, later, "this node is short of memory"},
	{Connections, true, true, http.StatusServiceUnavailable, later,
		"this node has as many connections as it may have"},
	{Files, false, true, http.StatusServiceUnavailable, later, "this node has as many open files as it may have"},
	{RateOfNode, true, false, http.StatusServiceUnavailable, soon,
		"this node takes no more new connections in this second"},
	{PerAddress, true, true, http.StatusTooManyRequests, later,
		"there are as many connections from this address as there may be"},
	{PerUser, true, false, http.StatusTooManyRequests, later, "this user has as many connections as there may be"},
	{RateOfAddress, true, false, http.StatusTooManyRequests, soon, "too many new connections from this address"},
}

// When a refused client may come again.
const soon, later = time.Second, 5 * time.Second

// UpgradeReasons lists why upgrades may be refused, for metrics that want all labels from the start.
func UpgradeReasons() (reasons []Reason) {
	for _, r := range refusals {
		if r.upgrade {
			reasons = append(reasons, r.reason)
		}
	}
	return reasons
}

// SocketReasons lists why sockets may be refused.
func SocketReasons() (reasons []Reason) {
	for _, r := range refusals {
		if r.socket {
			reasons = append(reasons, r.reason)
		}
	}
	return reasons
}

// Answer is what a refused client is told; status 0: it is not refused.
func (r Reason) Answer() (status int, retryAfter time.Duration, detail string) {
	for _, known := range refusals {
		if known.reason == r {
			return known.status, known.retryAfter, known.detail
		}
	}
	return 0, 0, ""
}
