// Package wsconn serves one side of WebSocket connections: it accepts them and reads them. Package outbox writes to
// them.
//
// It owns what is on the wire after the upgrade: frames, close frames, limits of what clients send. It
// knows nothing of channels, users or Redis, and never decides who may connect: origin, authentication and
// connection limits are the caller's, before Accept.
//
// # Goroutines
//
// A connection has one small goroutine, which without input waits for its socket and holds no buffer. With input it
// goes on as a coroutine on a stack of a pool. There it reads and calls the Handler, one message at a time. There are
// as many stacks as Handlers at work (see serve.go). TLS connections, which cannot be waited for without blocking, keep
// their stack. All end with Sockets.Close.
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
package wsconn
