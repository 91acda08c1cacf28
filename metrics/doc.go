// Package metrics is what a node tells Prometheus (SPEC 2, /metrics): each name and help text stands once in the
// code, and in docs/operating.md.
//
// Events that happen (a frame was sent, a handler ran) are counted as they come, by methods that allocate nothing and
// take no lock. What simply is (open connections, who is present) the rooms tell themselves in each scrape: their
// Measure names it.
//
// Labels come from bounded sets: never a channel, a user, a connection or the path of a request. Where a set is not
// known beforehand it is capped, and what is beyond the cap counts as "other".
//
// It starts no goroutine, has no global state, and knows no other room: cmd/node joins them.
package metrics
