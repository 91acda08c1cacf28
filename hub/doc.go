// Package hub holds the connections of this node: who is in which channel, what reaches whom, and what an action does.
//
// A Session is one connection; a room is one channel while someone on this node is in it. A broadcast is published to
// the channel's topic and comes back to every node with a room. There it becomes one frame that all members share.
//
// A room of a channel with history has a feed for those who are promised each message (feed.go).
//
// Goroutines: there is a short one where a receiver finds that a room may close. Another reads a channel's history
// while a feed needs it. Close waits for both. Everything else runs on the caller's goroutine (a connection's own) or
// on the broker's reception goroutines, which never wait here.
//
// It knows nothing of HTTP or Lua, and never decides who is present: that is presence.
package hub
