// Package hooks tells back ends who is present (SPEC 10). Each hook of config/hooks.lua has channels, and a sink that
// is to know who is in them. It is levels, not edges. What the sink was told is kept in Redis for each channel, and
// told is the difference to what is true there (package presence). So no fault loses anything; it only takes longer.
//
//	presence writes ──Changed──▶ wake.lua: due, since, wakes ──topic──▶ the node that has claimed the part
//	(this node)                                                            │ take.lua: told
//	                                                                       │ presence: true
//	                                                                       ▼ differ: events
//	            mark.lua: told ◀── 2xx ── sink ◀── request ◀── keep.lua: the request is kept
//
// The channels of a hook are spread over 16 parts. A part is claimed by one node at a time, whose scripts check that.
// The claim ends a lease after the node's last beat, and another goes on: with the same request, if one was under way.
// All keys of a hook are in one Cluster slot. What Redis loses of a hook it loses together. What a failover loses the
// nodes notice, since each counts its marks; then the hook begins anew, with a reset.
//
// A waking that is lost costs at most one audit: 30 s, in a channel that has long been quiet up to ten minutes.
//
// Its goroutines are all started by [Hooks.Start] and waited for by [Hooks.Close]. For each hook there is one that
// claims, and one for each part in which something is due. One tells Redis of changes, and one tells it which channels
// are in use. One forgets hooks that no node has any more.
//
// It never holds up who changes presence, and never sends two requests about one channel at a time. It never marks what
// the sink has not acknowledged.
package hooks
