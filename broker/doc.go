// Package broker is the only way from Rollcall to Redis: publish and subscribe
// over topics, commands that share pipelines, scripts, and every key and topic
// name (keys.go).
//
// It owns these goroutines, all started by [Open] and all waited for by [Broker.Close]:
//
//   - for each pub/sub connection (Config.Receivers) one that makes the
//     connection, writes SUBSCRIBE and UNSUBSCRIBE and watches over it, and one
//     that reads from it and calls the receivers;
//   - the workers of the batcher (Config.Workers), each with one pipeline in flight;
//   - the keeper, which looks at each watch interval whether it still talks to
//     the same Redis processes.
//
// # Order
//
// A topic belongs to one pub/sub connection, so the messages of a topic reach a
// receiver in the order in which Redis published them. In a Cluster, PUBLISH goes
// to the master of the topic's hash slot, where the scripts of the same channel
// publish too, so that there is one order for both.
//
// # Outcomes
//
// A command is sent at most once: nothing here runs a command a second time
// after its answer was lost. An error that is [ErrUnavailable] means that Redis
// could not be reached or could not serve; if it is [ErrUnknown] too, the command
// may have been carried out all the same. Every other error is Redis's own answer.
// Every wait ends after Config.Timeout (3 s) at the latest, and with its ctx.
//
// # Never
//
// The broker never knows what a message means, never keeps messages for later, never
// drops one while a connection stands, and never tells anyone that a subscription is back before
// Redis has confirmed it.
package broker
