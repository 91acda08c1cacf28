package simulation

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/naming"
	"rollcall/presence"
)

// departure is connections of a user that left a channel in one write of Redis.
type departure struct {
	causes []presence.Cause
	last   bool // none is left
}

// reaped is where the script reap has the first of the entries that it is to remove, in pairs.
const reaped = 8

// inventory is who Redis has in a channel: user to connection to entry.
type inventory map[string]map[string]string

func (o *oracle) inventory(channel string) inventory {
	out := inventory{}
	users := o.w.redis.Get(o.w.keys.Users(channel))
	if users == nil {
		return out
	}
	for user := range users.Zset {
		if h := o.w.redis.Get(o.w.keys.User(channel, user)); h != nil {
			out[user] = maps.Clone(h.Hash)
			delete(out[user], "s")
		}
	}
	return out
}

// inventoryOf is that of a command that may take somebody away; else nil.
func (o *oracle) inventoryOf(cmd redis.Cmder) inventory {
	switch o.w.script(cmd) {
	case "leave", "linger", "reap":
		channel, _ := o.w.keys.ChannelOf(fmt.Sprint(cmd.Args()[3]))
		return o.inventory(channel)
	}
	return nil
}

// took notes who left by a command; had is who was there before it. SPEC 10 has the causes. SPEC 9: "`last_seen` after
// a node's death is the time of its last heartbeat at the earliest, its lease's end at the latest"; else it is when the
// last connection left.
func (o *oracle) took(cmd redis.Cmder, had inventory) {
	if len(had) == 0 {
		return
	}
	args := cmd.Args()
	arg := func(i int) string { return fmt.Sprint(args[3+args[2].(int)+i]) }
	channel, _ := o.w.keys.ChannelOf(fmt.Sprint(args[3]))
	has := o.inventory(channel)
	var least, most time.Time
	for _, user := range slices.Sorted(maps.Keys(had)) {
		d := departure{last: len(has[user]) == 0}
		for _, id := range slices.Sorted(maps.Keys(had[user])) {
			if has[user][id] != "" {
				continue
			}
			c, from, to := o.all[id+" "+user], time.Time{}, o.w.clock()
			if lingers := strings.Contains(had[user][id], "~"); o.w.script(cmd) == "reap" && !lingers {
				d.causes, from = append(d.causes, presence.CauseNodeLost), o.beats[arg(3)]
				if arg(5) == "due" {
					to = from.Add(ttl)
				}
			} else if c != nil {
				d.causes, from = append(d.causes, c.why), c.last
				if lingers && o.w.script(cmd) == "reap" {
					to = c.until.Add(o.w.skew)
				}
			}
			least, most = later(least, from), later(most, to)
		}
		if d.causes != nil {
			key := channel + " " + user
			o.departures[key] = append(o.departures[key], d)
		}
	}
	if len(has) > 0 || !naming.IsUserChannel(channel) {
		return
	}
	seen := o.lastSeen(channel)
	o.seen[channel] = seen
	if now := o.w.clock(); most.After(now) {
		most = now
	}
	if !o.lossy && (seen < least.UnixMilli() || seen > most.UnixMilli()) {
		o.w.fail("last_seen of %s is %d, want %d to %d", channel, seen, least.UnixMilli(), most.UnixMilli())
	}
}

// lastSeen is what Redis holds of a channel, in ms; 0: nothing.
func (o *oracle) lastSeen(channel string) (ms int64) {
	if head := o.w.redis.Get(o.w.keys.Head(channel)); head != nil {
		_, _ = fmt.Sscan(head.Hash["seen"], &ms) // nothing stays 0
	}
	return ms
}

// keepsSeen checks that last_seen of a channel that is empty is still there.
func (o *oracle) keepsSeen(channel string) {
	want, known := o.seen[channel]
	if got := o.lastSeen(channel); known && len(o.inventory(channel)) == 0 && got != want {
		o.w.fail("last_seen of %s has become %d, it was %d", channel, got, want)
	}
}

// departed counts the departures from a channel so far.
func (o *oracle) departed(channel string) map[string]int {
	counts := map[string]int{}
	for i := range o.w.plan.Users {
		user := fmt.Sprint("u", i)
		counts[user] = len(o.departures[channel+" "+user])
	}
	return counts
}

// because checks the cause of a leave that the script is told: it is that of a departure which it was not told yet.
// After a fault a view may know before Redis that a connection which is left has gone, too. A node that missed a leave
// knows no cause; of what Redis has lost, and nobody wrote again, it says node_lost.
func (r *room) because(e presence.Event) {
	o := r.n.w.oracle
	all := o.departures[r.name+" "+e.UserID]
	for i := r.caused[e.UserID]; i < len(all); i++ {
		if d := all[i]; (d.last || o.troubled) && slices.Contains(d.causes, e.Cause) {
			r.caused[e.UserID] = i + 1
			return
		}
	}
	switch {
	case e.Cause == presence.CauseUnknown && o.troubled:
	case e.Cause == presence.CauseNodeLost && o.lossy:
	default:
		r.fail("a script is told that %s left for %q, true are %v", e.UserID, e.Cause, all[r.caused[e.UserID]:])
	}
}
