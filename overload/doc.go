// Package overload says what a node refuses, so that it can serve the rest: sockets, upgrades, and what comes too
// often.
//
//	admission.go     who may come in: sockets and connections, counted against the limits
//	reason.go        why not, and what a client is told
//	connect_rate.go  pure: new connections a second, of the node and of an address
//	memory.go        pure: whether memory is short; the guard that looks
//	footprint.go     what the process uses, and what it may
//	scavenger.go     returns memory that a quiet node has no use for
//	gcpercent.go     lets a small heap's garbage gather
//	limiter.go       pure: how often something may happen
//
// It starts no goroutine (Scavenge is its caller's), closes nothing and answers nobody: it says why, its callers act.
// It knows no other room.
package overload
