// Package redismodel is Redis as the presence protocol sees it. It is a keyspace in memory and the two dozen commands
// that presence, cluster and their scripts send. It runs those very scripts by luavm. The conformance test holds it
// against real servers, call by call: what it answers, what it publishes, and what it then holds.
//
// It has no goroutines and no clock of its own, and everything in it has one order, so what is built on it replays
// exactly. It can do what a test cannot ask of a server. It can lose its last writes, as a failover does, and run a
// script with a mistake.
package redismodel
