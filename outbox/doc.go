// Package outbox writes to the connections of a node: each has an outbox of bounded size, and few goroutines write for
// all.
//
// It owns the sockets as far as they are written to, and how connections end. What is on the wire is the business of
// their kinds (Kind): package wsconn and package sse accept connections and read them. It knows nothing of HTTP,
// channels or users.
//
// # Goroutines
//
// Sockets have a few goroutines, whatever the number of connections:
//
//   - flushers take connections with waiting frames from one list and write, without blocking, all that waits
//     for a connection with one system call;
//   - the pinger turns a wheel that pings every connection once in Config.Ping and finds dead peers;
//   - the watchdog resets the sockets of connections whose closing takes too long.
//
// A client that does not take what is written gets a goroutine that writes for it until its outbox is empty. TLS
// connections, which cannot be written without blocking, get that one whenever they send. Each kind has its readers run
// by Go. Sockets.Close returns after all of them.
//
// # The outbox and the writer
//
//	         Send             a writer takes all           all written, nothing new
//	idle ──────────▶ queued ──────────────────▶ writing ───────────────────────────▶ idle
//	                 ▲  ▲                         │   │
//	held ── Begin ───┘  └──── more has come ──────┘   │ socket full
//	                                                  ▼
//	                               a goroutine of its own writes (still "writing") ──▶ idle
//
// Every frame goes through the outbox (queue.go) and leaves by a writer (writer.go). Frames are data, pings, and the
// farewell, which is a close frame or what its kind has instead. Only the owner of the state "writing" writes to the
// socket, so frames are never interleaved and leave in the order of Send. The frames that wait or are being written are
// bounded by Config.SendQueue; a Send beyond it closes the connection with 1013.
//
// One pacing (pacing.go) tells when. As long as little is written a sender uses a writer itself, which spares waking a
// flusher. When writing takes a quarter of the time, senders leave it to the flushers. Those rest between two rounds,
// so that more frames leave in one write. Frames that somebody waits for (SendAll, prompt) do not wait for that.
//
// # The end of a connection
//
//	open ── Close, limit passed, error ──▶ closing ── peer's close frame, or its end of the stream ──▶ closed
//	  │                                      └────── time is up ── reset ─────────────────────────────▶ closed
//	  ├── peer's close frame, answered ───────────────────────────────────────────────────────────────▶ closed
//	  └── end of stream, reset, two pings unanswered ─────────────────────────────────────────────────▶ closed
//
// Done is closed when "open" is left, Handler.Closed is called once in "closed".
package outbox
