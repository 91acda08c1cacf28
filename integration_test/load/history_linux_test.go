package load

import (
	"testing"

	"rollcall/testkit/redistest"
)

// What Redis pays for a message that is kept, and for one that is not.
func BenchmarkKeeping(b *testing.B) {
	all := figures{}
	for range *runs {
		r, err := keeping(redistest.Standalone(b), scaled(400_000))
		if err != nil {
			b.Fatal(err)
		}
		all.add(r)
	}
	all.report(b)
}

// A node with 10,000 clients in 100 channels with a history is killed, and all come back to two others with what they
// say of where they were.
func BenchmarkComeBack(b *testing.B) {
	n := scaled(10_000)
	needFiles(b, n+500)
	measureOn(b, 3, "resume", 0, func(s *stage) result { return comeBack(s, n, min(100, n)) })
}
