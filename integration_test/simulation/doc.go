// Package simulation lives through a cluster in virtual time. It has real trackers, leases, reapers, replicas and hubs
// of many nodes, and a model of Redis. A network between them delays, loses and breaks. One seed decides everything, so
// a seed that fails can be lived through again, step by step. README.md says how.
//
//	plan.go      pure: what a seed decides beforehand: nodes, faults, ops, when everything must be exact
//	world.go     the scheduler: waits until all goroutines are blocked, then lets one thing happen
//	node.go      a node as cmd/node builds it, without sockets
//	wire.go      in place of package redisconn: commands, and what is told of them
//	pipeline.go  pipelines on their way, lost and late answers
//	topics.go    in place of package broker: subscriptions, in order, until they break
//	network.go   latency, cuts, and whether Redis answers
//	room.go      in place of the hub: what clients and scripts are told, and what they make of it
//	ops.go       what clients do
//	follower.go  a client of history: what it is told, and what it makes of it
//	publish.go   what clients of history do
//	faults.go    what goes wrong
//	oracle.go    what must be true (SPEC 5); oracle_look.go compares it with Redis, nodes and clients, oracle_gone.go
//	             sees why users left, and when they were there last (SPEC 9 and 10)
//	archive.go   what Redis kept, and what those who follow may be told (SPEC 7)
//	story.go     what happened, for people and as a hash
//	shrink.go    pure: a smaller plan that fails too
//	redismodel/  Redis, held against real servers
//
// It starts no goroutine that outlives a run, never opens a connection, and never sleeps in real time.
package simulation
