package app

import "time"

// schedule says when a node asks for the periods of a job. A pure value; times are ms of the Redis clock, as the node
// knows it.
type schedule struct {
	period int64 // ms
	next   int64 // when it asks next; 0: not known yet
}

// look is called at a time, first when the job is known and then when the wait is over. due tells that the node may ask
// for the period that goes on, which it has not asked for before. A period that began before the first look is no
// matter of this node, and one that it slept through is not made up for. A clock that was set back puts the next one
// off by a period at most.
func (s schedule) look(now int64) (next schedule, due bool, wait time.Duration) {
	due = s.next != 0 && now >= s.next
	if begins := now - now%s.period + s.period; s.next == 0 || due || s.next > begins {
		s.next = begins
	}
	// The wait is short, since the two clocks may differ in speed, and that of Redis may be set meanwhile.
	return s, due, min(time.Duration(s.next-now)*time.Millisecond, lookAgain)
}
