// Package wsconn serves one side of WebSocket connections: it accepts them, reads them, and writes to them
// from bounded outboxes.
//
// It owns the sockets after the upgrade and everything on the wire: frames, pings, close codes, limits. It
// knows nothing of channels, users or Redis, and never decides who may connect: origin, authentication and
// connection limits are the caller's, before Accept.
//
// # Goroutines
//
// A connection has one small goroutine, which without input waits for its socket and holds no buffer. With input
// it goes on as a coroutine on a stack of a pool, where it reads and calls the Handler, one message at a time;
// there are as many stacks as Handlers at work (see serve.go). A Server has a few more goroutines, whatever the
// number of connections:
//
//   - flushers take connections with waiting frames from one list and write, without blocking, all that waits
//     for a connection with one system call;
//   - the pinger turns a wheel that pings every connection once in Config.Ping and finds dead peers;
//   - the watchdog resets the sockets of connections whose closing takes too long.
//
// A client that does not take what is written gets a goroutine that writes for it until its outbox is empty.
// TLS connections, which can be neither written nor waited for without blocking, get that one whenever they
// send, and keep their stack. Server.Close returns after all of them.
//
// # gorilla/websocket
//
// Its Upgrader checks the request of an upgrade and answers it; IsWebSocketUpgrade and Subprotocols read the request's
// lists. Its Conn is dropped with its buffers. We read frames (header.go, read.go) and write them (frame.go) ourselves,
// for three reasons:
//
//   - NextReader does not return between a ping and the next message. Each connection that has answered a ping would
//     keep a stack and a read buffer: 17 KiB where ours has 10.
//   - It writes the close frames of malformed input by itself, past the outbox, and in between its frames.
//   - It takes a close frame of one byte for an empty one, and 1014 for no code.
//
// # The outbox and the writer
//
//	         Send             a writer takes all           all written, nothing new
//	idle ──────────▶ queued ──────────────────▶ writing ───────────────────────────▶ idle
//	                   ▲                         │   │
//	                   └──── more has come ──────┘   │ socket full
//	                                                 ▼
//	                              a goroutine of its own writes (still "writing") ──▶ idle
//
// Every frame goes through the outbox (outbox.go) and leaves by a writer (writer.go): data, pings, pongs and the close
// frame. Only the owner of the state "writing" writes to the socket, so frames are never interleaved and leave in the
// order of Send. The frames that wait or are being written are bounded by Config.SendQueue; a Send beyond it closes the
// connection with 1013.
//
// One pacing (pacing.go) tells when. As long as little is written a sender uses a writer itself, which spares waking a
// flusher. When writing takes half of the time, senders leave it to the flushers, and those rest between two rounds,
// so that more frames leave in one write. Frames that somebody waits for (SendAll, prompt) do not wait for that.
//
// # The end of a connection
//
//	open ── Close, limit passed, error ──▶ closing ── peer's close frame ──▶ closed
//	  │                                      └────── time is up ── reset ──▶ closed
//	  ├── peer's close frame, answered ────────────────────────────────────▶ closed
//	  └── end of stream, reset, two pings unanswered ──────────────────────▶ closed
//
// Done is closed when "open" is left, Handler.Closed is called once in "closed".
package wsconn
