package overload

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// SPEC 3, --connect-rate: "new connections a second of a node, and a tenth of it of one address: 503, 429".
func TestConnectRate(t *testing.T) {
	a := func(i int) netip.Prefix { return ParseAddress(fmt.Sprint("192.0.2.", i)) }
	c := newConnectRate(20)
	take := func(at time.Duration, from netip.Prefix, want Reason) {
		t.Helper()
		if got := c.take(at, from); got != want {
			t.Fatalf("at %v %v is refused with %q, want %q", at, from, got, want)
		}
	}
	for i := range 10 { // two each are a tenth
		take(0, a(i), "")
		if i < 5 {
			take(0, a(i), "")
			take(0, a(i), RateOfAddress)
		}
	}
	for i := 10; i < 15; i++ {
		take(0, a(i), "")
	}
	take(0, a(15), RateOfNode)
	take(0, a(1), RateOfAddress)
	take(60*time.Millisecond, a(15), "") // one of the node's twenty a second is back
	take(60*time.Millisecond, a(16), RateOfNode)
	take(510*time.Millisecond, a(1), "") // one of the address's two
	take(510*time.Millisecond, a(1), RateOfAddress)
	take(3*time.Second, a(1), "")
	take(3*time.Second, a(1), "")
	take(3*time.Second, a(1), RateOfAddress)

	c = newConnectRate(0)
	for range 1000 {
		take(0, a(1), "")
	}
	c = newConnectRate(5) // less than one a second of an address: still one at a time
	take(0, a(1), "")
	take(time.Second, a(1), RateOfAddress)
	take(2*time.Second, a(1), "")
	take(3*time.Second, a(1), RateOfAddress)
}

// Whatever comes from however many addresses: no more of one in any time than its share and a burst, and what is kept
// of addresses is bounded by what was let in, not by what came.
func TestConnectRateBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		perSecond := rapid.IntRange(1, 50).Draw(t, "rate")
		c := newConnectRate(perSecond)
		now := time.Duration(0)
		in := map[netip.Prefix][]time.Duration{}
		var all []time.Duration
		for i := range rapid.IntRange(1, 300).Draw(t, "steps") {
			now += time.Duration(rapid.SampledFrom([]int{0, 0, 0, 1, 10, 100, 1000, 12000}).Draw(t, "ms")) * time.Millisecond
			from := ParseAddress(fmt.Sprintf("10.%d.0.%d", i%250, rapid.IntRange(1, 3).Draw(t, "from")))
			if rapid.Bool().Draw(t, "known") {
				from = ParseAddress("192.0.2.1")
			}
			if c.take(now, from) == "" {
				in[from], all = append(in[from], now), append(all, now)
			}
			if kept, most := len(c.recent)+len(c.older), 2*perSecond*(1+int(c.idleAfter()/time.Second)+1); kept > most {
				t.Fatalf("%d addresses are kept, at most %d are right", kept, most)
			}
		}
		within := func(times []time.Duration, perSecond float64, burst int) {
			for i := range times {
				for j := i; j < len(times); j++ {
					if most := float64(burst) + perSecond*(times[j]-times[i]).Seconds() + 1e-6; float64(j-i+1) > most {
						t.Fatalf("%d in %v at a rate of %v", j-i+1, times[j]-times[i], perSecond)
					}
				}
			}
		}
		within(all, float64(perSecond), perSecond)
		for _, times := range in {
			within(times, float64(perSecond)/10, max(1, perSecond/10))
		}
	})
}
