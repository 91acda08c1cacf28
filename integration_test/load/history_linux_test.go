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
