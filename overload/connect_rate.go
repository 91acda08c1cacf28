package overload

import (
	"net/netip"
	"time"
)

// connectRate holds Config.ConnectRate: so many new connections a second of the node, and a tenth of it of one address,
// with bursts of a second's worth. Who is refused takes nothing. The zero value has no limit.
//
// What it knows of addresses is bounded: one takes part only when it was let in, and after a while its limiter is idle
// again, as if it had never been seen. So two generations, each begun at least that long after the one before, hold all
// that matters, and neither has more addresses than the node lets in meanwhile.
type connectRate struct {
	ofAll, ofOne Rate // static

	all    Limiter
	recent map[netip.Prefix]Limiter
	older  map[netip.Prefix]Limiter
	began  time.Duration // recent
}

func newConnectRate(perSecond int) connectRate {
	if perSecond == 0 {
		return connectRate{}
	}
	n := time.Duration(perSecond)
	return connectRate{
		ofAll:  Rate{Every: (time.Second + n - 1) / n, Burst: perSecond},
		ofOne:  Rate{Every: (10*time.Second + n - 1) / n, Burst: max(1, perSecond/10)},
		recent: map[netip.Prefix]Limiter{},
	}
}

// take lets one new connection in, or says why it may not be.
func (c *connectRate) take(now time.Duration, from netip.Prefix) Reason {
	if c.recent == nil {
		return ""
	}
	if now-c.began >= c.idleAfter() {
		c.recent, c.older, c.began = map[netip.Prefix]Limiter{}, c.recent, now
	}
	one, ok := c.recent[from]
	if !ok {
		one = c.older[from]
	}
	switch {
	case !one.Allow(now, c.ofOne):
		return RateOfAddress
	case !c.all.Allow(now, c.ofAll):
		return RateOfNode
	}
	c.recent[from] = one
	return ""
}

// idleAfter is how long the limiter of an address takes to be idle again: a second, or longer when the rate is below
// ten.
func (c *connectRate) idleAfter() time.Duration { return time.Duration(c.ofOne.Burst) * c.ofOne.Every }
