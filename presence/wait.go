package presence

import "slices"

// waiter waits until a position is in the view: reached in the channel's history, or covered by a snapshot that was
// begun after the wait.
type waiter struct {
	at    Position      // the zero value: whatever there is
	begun uint32        // the last reading that was begun before
	conn  string        // that is owed a presence_state
	refs  bool          // the state is that of clients of Phoenix
	done  chan struct{} // closed by the shell when it is over
}

// reached tells whether a wait is over.
func (v *view) reached(w waiter) bool {
	epoch, seq := v.replica.Position()
	return w.at.Epoch == "" || w.at.Epoch == epoch && w.at.Seq <= seq || v.adopted > w.begun
}

// await lets a writer wait; it does not when there is no view to see its change in.
func (v *view) await(w waiter) {
	if v.phase == cold || v.reached(w) {
		v.do(woken{w}) // after what is being told at this moment
		return
	}
	if v.waiters == nil {
		v.waiters = map[Position][]waiter{}
	}
	v.waiters[w.at] = append(v.waiters[w.at], w)
}

func (v *view) dropWaiter(w waiter) {
	v.release(w.at, func(o waiter) bool { return o.done == w.done })
}

// release takes those out who wait for a position and need not any more.
func (v *view) release(at Position, over func(waiter) bool) {
	if left := slices.DeleteFunc(v.waiters[at], over); len(left) > 0 {
		v.waiters[at] = left
	} else {
		v.noneWaitsFor(at)
	}
}

// noneWaitsFor forgets a position; of the last also the map, which costs more than most channels.
func (v *view) noneWaitsFor(at Position) {
	if delete(v.waiters, at); len(v.waiters) == 0 {
		v.waiters = nil
	}
}

// seen wakes those who wait for the change just applied, once the audience has been told what it may hear at once.
func (v *view) seen(at Position) {
	if ws := v.waiters[at]; len(ws) > 0 {
		v.noneWaitsFor(at)
		v.do(woken(ws))
	}
	v.callStates()
}

// seenAll wakes all whose wait is over, after a snapshot.
func (v *view) seenAll() {
	var over woken
	for at := range v.waiters {
		v.release(at, func(w waiter) bool {
			reached := v.reached(w)
			if reached {
				over = append(over, w)
			}
			return reached
		})
	}
	if len(over) > 0 {
		v.do(over)
	}
	v.callStates()
}
