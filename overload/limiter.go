package overload

import "time"

// Rate is how often something may happen: Burst times at once after a pause, and once in each Every.
type Rate struct {
	Every time.Duration
	Burst int
}

// Limiter holds something to a Rate, by the generic cell rate algorithm (GCRA). It is a pure value; its user names the
// same Rate each time, and now as the time since a moment of its own. The zero value has taken nothing.
type Limiter struct{ tat time.Duration } // the theoretical arrival time: when all that was taken is made up for

// Reserve takes n, and says how long they have to wait.
func (l *Limiter) Reserve(now time.Duration, r Rate, n int) (wait time.Duration) {
	l.tat = max(l.tat, now) + time.Duration(n)*r.Every
	return max(l.tat-now-time.Duration(r.Burst)*r.Every, 0)
}

// Allow takes one if it need not wait, else nothing, and says which.
func (l *Limiter) Allow(now time.Duration, r Rate) bool {
	next := *l
	if next.Reserve(now, r, 1) > 0 {
		return false
	}
	*l = next
	return true
}

// Cancel gives back one that was taken.
func (l *Limiter) Cancel(r Rate) { l.tat -= r.Every }

// Idle tells that it is as if nothing had been taken.
func (l Limiter) Idle(now time.Duration) bool { return l.tat <= now }
