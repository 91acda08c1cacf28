// Package redisconn is the way from Rollcall to Redis: commands that share pipelines, scripts, and every key and topic
// name (keys.go). Topics have their connections in package broker.
//
// It owns these goroutines, all started by [Open] and all waited for by [Client.Close]:
//
//   - the batchers (Config.Batchers), each with one pipeline in flight, which waits a moment for more
//     commands under a load that lasts (gather.go). A caller who finds none in flight or waiting sends its command
//     itself;
//   - one that looks at each watch interval whether the same Redis processes answer as before (failover.go).
//
// # Outcomes
//
// A command is sent at most once: nothing here runs a command a second time after its answer was lost. An error that is
// [ErrUnavailable] means that Redis could not be reached or could not serve. If it is [ErrUnknown] too, the command may
// have been carried out all the same. Every other error is Redis's own answer. Every wait ends after Config.Timeout (3
// s) at the latest, and at the deadline of its ctx. When that is cancelled it ends at once or, for a caller who sends
// its command itself, with the answer.
//
// # Never
//
// It never knows what a command means, and never keeps one for later.
package redisconn
