// Package egress makes the HTTP requests that leave the node because an app asked for them (SPEC 11, http.fetch).
//
// It is a door in the wall around the node. Who writes a URL into a message must not reach what only the node can
// reach. So it owns
//
//   - the list of hosts that may be asked (Allow). An address with a special purpose (private, loopback, link-local,
//     metadata and so on) must be named on it as an address or a network;
//   - the check of each address when it is dialled, after names were resolved: a name that resolves to another address
//     a moment later gains nothing;
//   - the bounds: of URL, headers and bodies, of redirects, of time, of requests at a time and of the bytes they hold;
//   - a circuit breaker for each host.
//
// It takes no proxy from the environment, keeps no cookies, and speaks HTTP/1.1 only. It knows nothing of Lua.
//
// # A fetch
//
//	Fetch ── host not on the list ──▶ refused
//	  │
//	  ├── waits while Config.InFlight others are under way ── its time is up ──▶ busy
//	  ├── the host's breaker is open ──▶ breaker
//	  ▼
//	resolve, dial ── address not allowed ──▶ refused
//	  ▼
//	request, redirects, body ──▶ ok, or what went wrong
//
// # The breaker of a host
//
//	closed ── ten fetches in a row got no answer ──▶ open ── five seconds ──▶ half-open: one fetch may try
//	  ▲                                               ▲                          │  │
//	  │                                               └────── no answer ─────────┘  │
//	  └────────────────────────────────────────────────────── an answer ────────────┘
//
// A host is scheme, name and port. Any answer is one, whatever its status; so that a service that says 500 is still
// asked, and its body read. Who gives up by himself (his client has gone) counts for neither.
//
// The package starts no goroutine but those of net/http for its connections. Close ends the idle ones.
package egress
