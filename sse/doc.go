// Package sse serves event streams (WHATWG HTML, 9.2): it answers their requests and notices their ends. Package outbox
// writes to them.
//
// It owns what is on the wire: the header of the answer, events, comments, and what a refused client is told. It knows
// nothing of channels, users or Redis, and never decides who may connect: origin, authentication and connection limits
// are the caller's, before Accept. What the id of an event says is the caller's too (Options.Heard).
//
// # Goroutines
//
// Accept takes the socket from net/http, so that its goroutine and buffers go away. Handler.Open runs on a goroutine of
// its own, whose stack may grow. What is left of an open stream is a small goroutine that waits for the client's end;
// it holds no buffer. Sockets.Close returns after all of them.
//
// # A stream
//
//	held ── Open returns ──▶ 200, events ── Close ──▶ a comment, the end ──▶ closed
//	  │                           └── the client ends it, or takes nothing ──▶ closed
//	  ├── Refuse ──▶ a status and a problem ──▶ closed
//	  └── Close ───▶ 200, a comment, the end ──▶ closed
//
// The status is the connect handler's to decide, so nothing is written before Open has returned. A browser comes back
// to a stream that ended, and stays away for good after any status but 200. So only what will not change is a status.
// Who has come at a bad moment is sent away from a stream that has begun (Later).
package sse
