package outbox

import "time"

const (
	// writeShare is the part of the time that writing may take before it is made to rest: a quarter.
	writeShare = 4
	// freeWriting is how long may be written at a stretch, after a pause, without a rest: some 500 frames. A sender
	// writes no longer by itself.
	freeWriting = 3 * time.Millisecond
	// freeDebt is the rest that nobody need take.
	freeDebt = (writeShare - 1) * freeWriting
)

// pacing tells when the next frames may be written. While writing takes less than a quarter of the time, they leave at
// once. When it takes more, there are rests, in which frames gather, so that several leave in one write: latency that
// buys CPU. It is a pure value.
type pacing struct {
	paid time.Duration // when what was written will have taken its share of the time, and no more
}

// rest is how long, at now, nothing should be written.
func (p pacing) rest(now time.Duration) time.Duration { return max(0, p.paid-now-freeDebt) }

// wrote is the pacing after somebody has written from began until now; no rest will be longer than longest.
func (p pacing) wrote(began, now, longest time.Duration) pacing {
	paid := max(p.paid, began) + writeShare*(now-began)
	return pacing{min(paid, now+freeDebt+longest)}
}
