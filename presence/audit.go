package presence

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// auditPage is how many channels one pipeline compares.
const auditPage = 500

// audit compares every view and every set of own entries with Redis: pub/sub may lose a message without a sign.
func (t *Tracker) audit() {
	t.stats.Audits.Add(1)
	chans := t.all()
	for len(chans) > 0 && t.ctx.Err() == nil {
		n := min(len(chans), auditPage)
		if err := t.auditViews(chans[:n]); err != nil && t.ctx.Err() == nil {
			t.stats.Failed.Add(1)
			t.cfg.Log.Warn("audit failed", "error", err)
			return
		}
		if err := t.auditOwn(chans[:n]); err != nil && t.ctx.Err() == nil {
			t.stats.Failed.Add(1)
			t.cfg.Log.Warn("audit of own entries failed", "error", err)
			return
		}
		chans = chans[n:]
	}
}

// standing gives where a live channel stands; ok is false when there is nothing to compare.
func (c *Channel) standing() (at Position, empty, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at.Epoch, at.Seq = c.view.replica.Position()
	return at, c.view.replica.Len() == 0, c.view.phase == live
}

// auditViews compares positions. A view may be a little behind (messages on their way) but never ahead of Redis.
func (t *Tracker) auditViews(chans []*Channel) error {
	var live []*Channel
	var names []string
	var had []Position
	for _, c := range chans {
		if at, _, ok := c.standing(); ok {
			live, names, had = append(live, c), append(names, c.name), append(had, at)
			c.mu.Lock()
			t.noteOwners(c.name, c.view.replica.users)
			c.mu.Unlock()
		}
	}
	if len(live) == 0 {
		return nil
	}
	redis, err := t.store.Positions(t.ctx, names)
	if err != nil {
		return err
	}
	var behind []int
	for i, c := range live {
		now, empty, ok := c.standing()
		switch want := redis[i]; {
		case !ok || want == now || want.Epoch == "" && empty:
		case want.Epoch != had[i].Epoch && want.Epoch != now.Epoch, want.Epoch == had[i].Epoch && want.Seq < had[i].Seq:
			t.reread(c, had[i], want)
		case now.Seq < want.Seq:
			behind = append(behind, i)
		}
	}
	if len(behind) == 0 {
		return nil
	}
	if !t.pause(catchUpTime) {
		return nil
	}
	for _, i := range behind {
		if now, _, ok := live[i].standing(); ok && now.Epoch == redis[i].Epoch && now.Seq < redis[i].Seq {
			t.reread(live[i], now, redis[i])
		}
	}
	return nil
}

// reread reads a channel again whose view is not what Redis holds.
func (t *Tracker) reread(c *Channel, have, want Position) {
	t.cfg.Log.Warn("audit found a difference in presence", "channel", c.name, "have", have, "redis", want)
	c.step(reread{resyncAudit})
}

func (t *Tracker) channel(name string) *Channel {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.channels[name]
}

func (t *Tracker) pause(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-t.ctx.Done():
		return false
	}
}

// confirmed counts the entries that Redis should hold under an incarnation; steady is false while any is being written.
func (c *Channel) confirmed(inc string) (n int64, steady bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range c.own {
		if o.busy != nil || !o.settled(inc) {
			return 0, false
		}
		n++
	}
	return n, true
}

// auditOwn compares the number of own entries in each channel, and repairs the ones that differ.
func (t *Tracker) auditOwn(chans []*Channel) error {
	inc, _, held := t.lease.Lease()
	if !held {
		return nil
	}
	var have []*Channel
	var names []string
	for _, c := range chans {
		if n, steady := c.confirmed(inc); steady && n > 0 {
			have, names = append(have, c), append(names, c.name)
		}
	}
	if len(have) == 0 {
		return nil
	}
	counts, err := t.store.EntryCounts(t.ctx, inc, names)
	if err != nil {
		return err
	}
	for i, c := range have {
		if n, steady := c.confirmed(inc); steady && n != counts[i] {
			if err := t.repair(c, inc); err != nil {
				return err
			}
		}
	}
	return nil
}

// repair makes Redis hold exactly what this node's connections track in a channel.
func (t *Tracker) repair(c *Channel, inc string) error {
	found, err := t.store.Entries(t.ctx, c.name, inc)
	if err != nil {
		return err
	}
	var extra []entryRef
	missing, back := 0, 0
	c.mu.Lock()
	for ref := range found {
		if c.own[ref] == nil {
			extra = append(extra, ref)
		}
	}
	for ref, o := range c.own {
		if !found[ref] && o.busy == nil && o.settled(inc) && !o.gone {
			o.inc = "" // write it again
			if o.until.IsZero() {
				missing++
			} else {
				back++
			}
		}
	}
	c.mu.Unlock()
	switch {
	case missing+len(extra) > 0:
	case back > 0: // their users have come back elsewhere; the write finds it out
		t.unsettled(c)
		t.kick()
		return nil
	default:
		return nil
	}
	t.stats.Repairs.Add(int64(missing + len(extra)))
	t.cfg.Log.Warn("audit repaired own presence", "channel", c.name, "missing", missing, "extra", len(extra))
	if len(extra) > 0 {
		slices.SortFunc(extra, entryRef.compare)
		if _, _, err := t.store.remove(t.ctx, c.name, inc, removeAll, 0, extra); err != nil {
			return err
		}
		c.mu.Lock()
		for _, ref := range extra { // tracked meanwhile: it went with the extra one
			if o := c.own[ref]; o != nil {
				o.inc = ""
			}
		}
		c.mu.Unlock()
	}
	t.unsettled(c)
	t.kick()
	return nil
}

// orphan is a set of entries whose incarnation may be unknown to the cluster.
type orphan struct{ channel, inc string }

func (o orphan) compare(p orphan) int {
	return cmp.Or(strings.Compare(o.channel, p.channel), strings.Compare(o.inc, p.inc))
}

// noteOwners notes the owners of entries, to be looked up: whoever may read users calls it.
func (t *Tracker) noteOwners(channel string, users map[string]*User) {
	t.lists.Lock()
	defer t.lists.Unlock()
	last := ""
	for _, u := range users {
		for i := range u.Metas {
			if inc := u.Metas[i].Inc; inc != last {
				last = inc
				t.owners[orphan{channel, inc}] = true
			}
		}
	}
}

// checkOrphans looks up the owners, and removes entries whose incarnation has been unknown for one lease time.
func (t *Tracker) checkOrphans() {
	t.lists.Lock()
	owners := t.owners
	t.owners = map[orphan]bool{}
	t.lists.Unlock()
	for o := range t.orphans {
		owners[o] = true
	}
	alive := map[string]bool{}
	for _, o := range slices.SortedFunc(maps.Keys(owners), orphan.compare) {
		known, asked := alive[o.inc]
		if !asked {
			var err error
			if known, err = t.lease.IncarnationAlive(t.ctx, o.inc); err != nil {
				t.lists.Lock()
				for o := range owners {
					t.owners[o] = true
				}
				t.lists.Unlock()
				return // Redis is away; later
			}
			alive[o.inc] = known
		}
		first, seen := t.orphans[o]
		switch {
		case known:
			delete(t.orphans, o)
		case !seen:
			t.orphans[o] = time.Now()
		case time.Since(first) >= t.cfg.TTL:
			n, err := t.removeOrphan(o)
			if err != nil {
				return // later
			}
			delete(t.orphans, o)
			if n == 0 { // they moved to another incarnation, which is not told: let the view know
				if c := t.channel(o.channel); c != nil {
					c.step(reread{resyncOrphan})
				}
				continue
			}
			t.stats.Orphans.Add(n)
			t.cfg.Log.Info("removed orphaned presence", "channel", o.channel, "incarnation", o.inc, "entries", n)
		}
	}
}

// removeOrphan removes what Redis lists of an unknown incarnation, and what this node's view shows of it.
func (t *Tracker) removeOrphan(o orphan) (n int64, err error) {
	refs, err := t.store.Entries(t.ctx, o.channel, o.inc)
	if err != nil {
		return 0, err
	}
	if c := t.channel(o.channel); c != nil {
		c.mu.Lock()
		for id, u := range c.view.replica.users {
			for i := range u.Metas {
				if u.Metas[i].Inc == o.inc {
					refs[entryRef{u.Metas[i].ConnID, id}] = true
				}
			}
		}
		c.mu.Unlock()
	}
	n, _, err = t.store.remove(t.ctx, o.channel, o.inc, removeAll, 0, sortedRefs(refs))
	return n, err
}
