// Package presence knows who is in a channel, on which connections, in the whole cluster, and tells every change once.
//
// The truth is what each node's own connections track. Redis is the shared index of it, and a Replica is one node's
// view of the index (DESIGN 3). The parts:
//
//	store.go     the index: one Redis script for each change, which writes and publishes in one step; snapshots in pages
//	change.go    pure: the messages of those scripts
//	snapshot.go  pure: what was read, and the changes that came meanwhile
//	replica.go   pure: a channel's view; Apply and Reset return what changed
//	tombstones.go  pure: which metas left, and so never come back
//	window.go    pure: gathers changes between two flushes, and what each client has been told
//	render.go    pure: the wire shapes of SPEC 1.1 and 1.2
//	view.go      pure: a channel as this node sees it, and all that happens to it: step. load.go reads snapshots,
//	             notify.go tells the audience, wait.go lets writers see their changes
//	channel.go   a view's lock, timer and goroutines
//	own.go       what this node's connections track in a channel; settle.go writes it; throttle.go: how often
//	tracker.go   all channels of this node: writes again after a lost lease, tidies up
//	audit.go     compares with Redis, repairs, removes orphans; audits.go: when
//	few.go       pure: a set that is small while it has few values
//
// Goroutines: the tracker runs one for upkeep and a bounded number that load channels or write entries; Close waits for
// all. Timers run only while a channel has something to flush. Messages come in on the broker's goroutine.
//
// It never opens a connection, knows nothing of WebSockets, and never uses a node's clock to decide whether a lease is
// over.
package presence
