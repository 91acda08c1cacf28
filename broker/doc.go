// Package broker is topics over Redis pub/sub: publish, and subscribe until Redis confirms, and again after each loss.
// Nobody waits for that: a receiver is told when it is so. It stands on package redisconn, by which commands go.
//
// Topics are spread over groups (Config.Groups), each with pub/sub connections of its own. The broker owns these
// goroutines, all started by [New] and all waited for by [Broker.Close]:
//
//   - for each group one that assigns its topics to its connections (group.go, assign.go, topology.go);
//   - for each connection one that writes SUBSCRIBE and UNSUBSCRIBE and checks that it is alive (conn.go, liveness.go);
//   - for each connection one that reads from it and calls the receivers (reader.go).
//
// # Sharded pub/sub
//
// A group has one connection for plain pub/sub. In a Cluster that knows sharded pub/sub (Redis 7.0) every topic but
// [redisconn.Keys.AllTopic] goes by it. A message stays with the master of its topic's hash slot. Each group has a
// connection to every master that serves one of its topics. When a slot moves, or its master fails over, its topics are
// subscribed to at the new master, and their receivers told by Resubscribed. An older Cluster has plain pub/sub, where
// each message crosses every node. redisconn.Open decides which of the two it is. It does so for all nodes of Rollcall
// alike, as long as the Cluster is not changed from the one to the other under them.
//
// # Order
//
// A topic is on one connection at a time. So the messages of a topic reach a receiver in the order in which Redis
// published them. In a Cluster, PUBLISH and SPUBLISH go to the master of the topic's hash slot. The scripts of the same
// channel publish there too, so that there is one order for both. There is one exception, when Redis is asked to fail
// over (CLUSTER FAILOVER). The old master, a replica now, still takes what is sent to it until the sender hears of the
// new one. It passes it on; such a message may come after ones that were sent to the new master a few milliseconds
// later.
//
// # Never
//
// The broker never knows what a message means, never keeps messages for later, and never drops one while a connection
// stands. It never tells anyone that a subscription is back before Redis has confirmed it.
package broker
