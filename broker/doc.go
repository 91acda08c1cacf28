// Package broker is the only way from Rollcall to Redis: publish and subscribe
// over topics, commands that share pipelines, scripts, and every key and topic
// name (keys.go).
//
// It owns these goroutines, all started by [Open] and all waited for by [Broker.Close]:
//
//   - for each link (Config.Receivers) one that brings topics into lanes, and for each of its lanes, which is a
//     pub/sub connection, one that writes SUBSCRIBE and UNSUBSCRIBE and watches over it, and one
//     that reads from it and calls the receivers;
//   - the workers of the batcher (Config.Workers), each with one pipeline in flight, which waits a moment for more commands while they
//     are dense (gather.go); a caller who finds none in flight or waiting sends its command itself;
//   - the keeper, which looks at each watch interval whether it still talks to
//     the same Redis processes.
//
// # Lanes
//
// A link has one lane for plain pub/sub. In a Cluster that knows sharded pub/sub (Redis 7.0) every topic but
// [Keys.AllTopic] goes by it: a message stays with the master of its topic's hash slot, and each link has a lane to
// every master that serves one of its topics. When a slot moves, or its master fails over, its topics
// are subscribed to at the new master, and their receivers told by Resubscribed. An older Cluster has plain pub/sub,
// where each message crosses every node. Which of the two is decided by Open, for all nodes of Rollcall alike as
// long as the Cluster is not changed from the one to the other under them.
//
// # Order
//
// A topic is in one lane at a time, so the messages of a topic reach a
// receiver in the order in which Redis published them. In a Cluster, PUBLISH and SPUBLISH go
// to the master of the topic's hash slot, where the scripts of the same channel
// publish too, so that there is one order for both. There is one exception: when Redis is asked to fail over
// (CLUSTER FAILOVER), the old master, a replica now, still takes what is sent to it until the sender hears of the new one, and passes
// it on; such a message may come after ones that were sent to the new master a few milliseconds later.
//
// # Outcomes
//
// A command is sent at most once: nothing here runs a command a second time
// after its answer was lost. An error that is [ErrUnavailable] means that Redis
// could not be reached or could not serve; if it is [ErrUnknown] too, the command
// may have been carried out all the same. Every other error is Redis's own answer.
// Every wait ends after Config.Timeout (3 s) at the latest, and at the deadline of its ctx; when that is cancelled, at once
// or, for a caller who sends its command itself, with the answer.
//
// # Never
//
// The broker never knows what a message means, never keeps messages for later, never
// drops one while a connection stands, and never tells anyone that a subscription is back before
// Redis has confirmed it.
package broker
