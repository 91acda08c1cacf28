package app

import (
	"net/http/httptest"
	"testing"

	"rollcall/outbox"
)

// browser is what a browser sends with a handshake.
var browser = map[string]string{
	"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
	"Sec-WebSocket-Key":        "dGhlIHNhbXBsZSBub25jZQ==",
	"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits", "Origin": "https://chat.example.com",
	"Pragma":        "no-cache",
	"Cache-Control": "no-cache", "Accept-Encoding": "gzip, deflate, br, zstd", "Accept-Language": "en-GB,en;q=0.9",
	"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
}

// benchConn is a connection of an event handler.
func benchConn(b *testing.B, body string) *eventConn {
	n := startNode(b, handler(body))
	return socketless(n, n.server.current.Load().app.routes[0])
}

// socketless is a connection of a route that has no socket.
func socketless(n *testNode, route *Route) *eventConn {
	r := httptest.NewRequest("GET", "/ws/red?user=ann", nil)
	for name, value := range browser {
		r.Header.Set(name, value)
	}
	in := n.server.current.Load()
	return &eventConn{server: n.server, in: in, route: route,
		accepted: accepted{ws: &outbox.Conn{}, req: newRequestInfo(r), addr: "127.0.0.1", user: &anonymous}}
}

// BenchmarkTurn is one message of a client through a handler that passes it on to the room, without the publish.
func BenchmarkTurn(b *testing.B) {
	for _, bench := range []struct{ name, body string }{
		{"broadcast_room", chat},
		{"state", `event.state.n = (event.state.n or 0) + 1 return {broadcast_room = event.message}`},
		{"globals", `n = (n or 0) + 1 return {broadcast_room = event.message}`},
		{"json", `local m = json.decode(event.message) return {broadcast_room = {from = event.connection_id, text = m.text}}`},
	} {
		b.Run(bench.name, func(b *testing.B) {
			c := benchConn(b, bench.body)
			b.ReportAllocs()
			for b.Loop() {
				actions, err := c.run(c.server.newTurn(c),
					event{kind: RunMessage, message: `{"text":"hello, all of you in this room"}`})
				if err != nil || len(actions) != 1 {
					b.Fatal(actions, err)
				}
			}
		})
	}
}
