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

// UpgradeReasons and SocketReasons list why each may be refused, for metrics that want all labels from the start.
func UpgradeReasons() []Reason {
	return []Reason{Draining, Memory, Connections, PerAddress, PerUser, RateOfNode, RateOfAddress}
}

func SocketReasons() []Reason { return []Reason{Connections, PerAddress, Files} }

// Answer is what a refused client is told (SPEC 3). 503 says that another node may take it, 429 that none should.
func (r Reason) Answer() (status int, retryAfter time.Duration, detail string) {
	const soon, later = time.Second, 5 * time.Second
	switch r {
	case Draining:
		return http.StatusServiceUnavailable, soon, "this node is going away"
	case Memory:
		return http.StatusServiceUnavailable, later, "this node is short of memory"
	case Connections:
		return http.StatusServiceUnavailable, later, "this node has as many connections as it may have"
	case Files:
		return http.StatusServiceUnavailable, later, "this node has as many open files as it may have"
	case RateOfNode:
		return http.StatusServiceUnavailable, soon, "this node takes no more new connections in this second"
	case PerAddress:
		return http.StatusTooManyRequests, later, "there are as many connections from this address as there may be"
	case PerUser:
		return http.StatusTooManyRequests, later, "this user has as many connections as there may be"
	case RateOfAddress:
		return http.StatusTooManyRequests, soon, "too many new connections from this address"
	}
	return 0, 0, ""
}
