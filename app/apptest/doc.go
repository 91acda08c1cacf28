// Package apptest runs the tests of an app (SPEC 11, `rollcall test`), which are test/*_test.lua. Each case runs on
// nodes and a Redis of its own, all in this process and in virtual time.
//
// A case runs in a testing/synctest bubble. There, time passes only when every goroutine of the bubble waits, and then
// at once. An hour of leases and heartbeats takes as long as its work. The same makes a case certain of what it sees.
// It goes on when nothing moves any more, so nothing that follows from what it did is still under way. Nodes, Redis and
// clients are joined by memnet, as a bubble cannot know whether a real socket is quiet.
//
// The package knows nodes as Config.Start gives them; cmd/node gives its own. So what is tested is what is served.
//
// Goroutines: Config.Workers run cases; each bubble has those of its nodes, its Redis, and one for each client, which
// reads. They end with the case. A case that does not end in real time is left behind, and the run is over.
//
// Of the machine it reads test/ and nothing else. It never prints; see Report.
package apptest
