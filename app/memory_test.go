package app

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"rollcall/testkit"
)

// rawConn is a WebSocket client that takes next to no memory: after the handshake it never reads.
func rawConn(t testing.TB, addr, path string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	check(t, err)
	var b strings.Builder
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: %s\r\n", path, addr)
	for name, value := range browser {
		if name != "Origin" {
			fmt.Fprintf(&b, "%s: %s\r\n", name, value)
		}
	}
	_, err = c.Write([]byte(b.String() + "\r\n"))
	check(t, err)
	resp, err := http.ReadResponse(bufio.NewReaderSize(c, 512), nil)
	check(t, err)
	if resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("status %d", resp.StatusCode)
	}
	return c
}

// inUse is what the process holds in its heap and stacks, in bytes.
func inUse() (heap, stacks int64) {
	for range 3 {
		runtime.GC()
	}
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse), int64(m.StackInuse)
}

// TestIdleMemory measures what idle connections hold, the client's end of about 1 KB included. It is a measurement, not
// a check of a limit: set ROLLCALL_MEASURE to run it.
func TestIdleMemory(t *testing.T) {
	if os.Getenv("ROLLCALL_MEASURE") == "" {
		t.Skip("a measurement")
	}
	files := handler(`
  if event.type == "connect" then return { join = event.params.room, track = event.query.user and {channel = event.params.room, user_id = event.query.user} } end
  if event.type == "message" then event.state.n = (event.state.n or 0) + 1 return { broadcast_room = event.message } end`)
	files["scripts/db/x.ws.lua"] = `
local channel = request.query.channel
solidb.ws.channel.subscribe(channel)
while true do
  local msg, kind = solidb.ws.recv_any()
  if msg == nil then break end
end`
	n := startNode(t, files)
	addr := strings.TrimPrefix(n.http.URL, "http://")
	const count = 1000
	for _, kind := range []struct{ name, path string }{
		{"event handler", "/ws/red?i=%d"},
		{"event handler with presence", "/ws/blue?user=u%d"},
		{"connection script", "/api/custom/db/x?channel=red&i=%d"},
	} {
		goroutines := runtime.NumGoroutine()
		heap, stacks := inUse()
		var conns []net.Conn
		for i := range count {
			conns = append(conns, rawConn(t, addr, fmt.Sprintf(kind.path, i)))
		}
		testkit.Eventually(t, "all in", func() bool { return n.hub.Count() >= count })
		time.Sleep(time.Second)
		heap2, stacks2 := inUse()
		t.Logf("%s: heap %d, stacks %d bytes, %.1f goroutines, %d failures", kind.name, (heap2-heap)/count,
			(stacks2-stacks)/count, float64(runtime.NumGoroutine()-goroutines)/count, len(n.seen.all()))
		for _, c := range conns {
			_ = c.Close()
		}
		testkit.Eventually(t, "end of the connections", func() bool { return n.sockets.Len() == 0 })
		testkit.Eventually(t, "end of the goroutines", func() bool { return runtime.NumGoroutine() < goroutines+20 })
	}
}
