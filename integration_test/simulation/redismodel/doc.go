// Package redismodel is Redis as the presence protocol sees it: a keyspace in memory, the dozen commands that presence and
// cluster send, and their Lua scripts told again in Go. The conformance test holds it against real servers, call by call:
// what it answers, what it publishes, and what it then holds.
//
// It has no goroutines and no clock of its own, and everything in it has one order, so what is built on it replays exactly.
// It can do what a test cannot ask of a server: lose its last writes, as a failover does.
package redismodel
