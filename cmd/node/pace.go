package main

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// pace holds --connect-rate: so many new connections a second of the node, and a tenth of it of one address, with bursts
// of a second's worth. Who is refused takes nothing.
//
// What it knows of addresses is bounded: one takes part only when it was let in, and after a second its bucket is full
// again, as if it had never been seen. So two generations, each begun at least a second after the one before, hold all
// that matters, and neither has more addresses than the node lets in meanwhile.
type pace struct {
	perIP rate.Limit // 0: no limit
	burst int        // of one address

	mu     sync.Mutex
	all    *rate.Limiter
	recent map[netip.Prefix]*rate.Limiter
	older  map[netip.Prefix]*rate.Limiter
	began  time.Time // recent
}

func newPace(perSecond int) *pace {
	p := &pace{perIP: rate.Limit(perSecond) / 10, burst: max(1, perSecond/10), recent: map[netip.Prefix]*rate.Limiter{}}
	p.all = rate.NewLimiter(rate.Limit(perSecond), perSecond)
	return p
}

// take lets one new connection in, or says why it may not be.
func (p *pace) take(now time.Time, from netip.Prefix) refusal {
	if p.perIP == 0 {
		return ""
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.limiterLocked(now, from)
	switch {
	case one.TokensAt(now) < 1:
		return refusedRatePerIP
	case !p.all.AllowN(now, 1):
		return refusedRate
	}
	one.AllowN(now, 1)
	p.recent[from] = one
	return ""
}

// limiterLocked is the bucket of an address; a new one is full, and not kept yet.
func (p *pace) limiterLocked(now time.Time, from netip.Prefix) *rate.Limiter {
	if now.Sub(p.began) >= p.full() {
		p.recent, p.older, p.began = map[netip.Prefix]*rate.Limiter{}, p.recent, now
	}
	if one := p.recent[from]; one != nil {
		return one
	}
	if one := p.older[from]; one != nil {
		return one
	}
	return rate.NewLimiter(p.perIP, p.burst)
}

// full is how long an empty bucket of an address takes to be full: a second, or longer when the rate is below ten.
func (p *pace) full() time.Duration {
	return time.Duration(float64(p.burst) / float64(p.perIP) * float64(time.Second))
}
