// Package chaos lets a cluster live through faults while a crowd of clients comes and goes. It has the package history
// judge what the clients were told. Nodes are real processes, and Redis servers and WebSockets are real too.
//
//	run.go       one run: the rounds of unrest, fault, rest
//	site.go      Redis, the nodes, and the proxies between them
//	device.go    one WebSocket client that writes its history; hear.go reads what comes
//	wire.go      how it speaks to an event handler or a connection script; topics.go: as a client of Phoenix
//	users.go     what nodes say of the people: who is online, and who was there last and when
//	crowd.go     the people: what they do with their devices
//	follower.go  clients of channels with a history, who go and come back to where they were
//	nemesis.go   chooses the faults from a seed; node_faults.go, redis_faults.go, net_faults.go do them
//	sinks.go     back ends that hooks tell who is there, which fail too, and what they were told wrongly
//	report.go    what came out, for a reader
//	watchdog.go  notes when this process itself did not run
//
// Only its tests use it. A run starts a goroutine for each person, each client's reader, each node's lists and the
// watchdog, and waits for all. What people and faults do comes from the seed; when exactly it happens does not.
package chaos
