//go:build unix && !race

package rawsock

import (
	"io"
	"net"
	"testing"
)

// Reading and writing do not allocate.
func TestCallsDoNotAllocate(t *testing.T) {
	each(t, func(t *testing.T, raw, other net.Conn) {
		p := make([]byte, 8)
		if n := testing.AllocsPerRun(100, func() {
			_, _ = raw.Write(p)
			_, _ = io.ReadFull(other, p)
			_, _ = other.Write(p)
			_, _ = io.ReadFull(raw, p)
		}); n > 0.1 {
			t.Errorf("%v allocations", n)
		}
	})
}
