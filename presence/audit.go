package presence

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"
)

// auditPage is how many channels one pipeline compares.
const auditPage = 500

// audit compares the views and the own entries of channels with Redis: what was lost without a sign shows nowhere else.
func (t *Tracker) audit(chans []*Channel) {
	sortChannels(chans)
	t.stats.Audits.Add(int64(len(chans)))
	for page := range slices.Chunk(chans, auditPage) {
		if err := t.compare(page); err != nil {
			for _, c := range page { // once more, soon
				t.audits.changed(c)
			}
			if t.ctx.Err() == nil {
				t.stats.Failed.Add(int64(len(page)))
				t.cfg.Log.Warn("audit failed", "error", err)
			}
		}
		for _, c := range page {
			if t.channel(c.name()) == c {
				t.audits.quiet(c)
			}
		}
	}
	if t.differs {
		t.differs = false
		t.audits.trouble(t.all())
	}
}

// compare is one page of an audit.
func (t *Tracker) compare(chans []*Channel) error {
	var live []*Channel
	var had []Position
	for _, c := range chans {
		if at, _, ok := c.standing(); ok {
			live, had = append(live, c), append(had, at)
			c.mu.Lock()
			c.noteOwnersLocked(false)
			c.mu.Unlock()
		}
	}
	inc, _, held := t.lease.Lease()
	var mine []*Channel
	for _, c := range chans {
		if n, steady := c.confirmed(inc); held && steady && n > 0 {
			mine = append(mine, c)
		}
	}
	if len(live)+len(mine) == 0 {
		return nil
	}
	at, entries, err := t.store.Standings(t.ctx, names(live), inc, names(mine))
	if err != nil {
		return err
	}
	t.compareViews(live, had, at)
	return t.compareOwn(mine, inc, entries)
}

func names(chans []*Channel) []string {
	out := make([]string, len(chans))
	for i, c := range chans {
		out[i] = c.name()
	}
	return out
}

// standing gives where a live channel stands; ok is false when there is nothing to compare.
func (c *Channel) standing() (at Position, empty, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at.Epoch, at.Seq = c.view.replica.Position()
	return at, c.view.replica.Len() == 0, c.view.phase == live
}

// compareViews compares positions. A view may be a little behind (messages on their way) but never ahead of Redis.
func (t *Tracker) compareViews(chans []*Channel, had, redis []Position) {
	var behind []int
	for i, c := range chans {
		now, empty, ok := c.standing()
		switch had, want := had[i], redis[i]; {
		case !ok || want == now || want.Epoch == "" && empty:
		case want.Epoch != had.Epoch && want.Epoch != now.Epoch, want.Epoch == had.Epoch && want.Seq < had.Seq:
			t.reread(c, had, want)
		case now.Seq < want.Seq:
			behind = append(behind, i)
		}
	}
	if len(behind) == 0 || !t.pause(catchUpTime) {
		return
	}
	for _, i := range behind {
		c := chans[i]
		if now, _, ok := c.standing(); ok && now.Epoch == redis[i].Epoch && now.Seq < redis[i].Seq {
			t.reread(c, now, redis[i])
		}
	}
}

// reread reads a channel again whose view is not what Redis holds.
func (t *Tracker) reread(c *Channel, have, want Position) {
	t.cfg.Log.Warn("audit found a difference in presence", "channel", c.name(), "have", have, "redis", want)
	c.step(reread{resyncAudit})
	t.differs = true
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
	for o := range c.own.all() {
		if o.busy != nil || !o.settled(inc) {
			return 0, false
		}
		n++
	}
	return n, true
}

// compareOwn compares the number of own entries in each channel, and repairs the ones that differ.
func (t *Tracker) compareOwn(chans []*Channel, inc string, redis []int64) error {
	for i, c := range chans {
		if n, steady := c.confirmed(inc); steady && n != redis[i] {
			if err := t.repair(c, inc); err != nil {
				return err
			}
		}
	}
	return nil
}

// repair makes Redis hold exactly what this node's connections track in a channel.
func (t *Tracker) repair(c *Channel, inc string) error {
	found, err := t.store.Entries(t.ctx, c.name(), inc)
	if err != nil {
		return err
	}
	var extra []entryRef
	missing, back := 0, 0
	c.mu.Lock()
	for ref := range found {
		if c.own.get(ref) == nil {
			extra = append(extra, ref)
		}
	}
	for o := range c.own.all() {
		if !found[o.ref] && o.busy == nil && o.settled(inc) && !o.gone {
			o.inc = "" // write it again
			if !o.lingers() {
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
	t.cfg.Log.Warn("audit repaired own presence", "channel", c.name(), "missing", missing, "extra", len(extra))
	t.differs = true
	if len(extra) > 0 {
		slices.SortFunc(extra, entryRef.compare)
		if _, _, err := t.store.remove(t.ctx, c.name(), inc, removeAll, 0, extra); err != nil {
			return err
		}
		c.mu.Lock()
		for _, ref := range extra { // tracked meanwhile: it went with the extra one
			if o := c.own.get(ref); o != nil {
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

// noteOwners notes the incarnations that own entries, to be looked up, at once when they were just read: whoever may
// read users calls it. This node knows of its own incarnation.
func (t *Tracker) noteOwners(channel string, incs iter.Seq[string], read bool) {
	own, _, _ := t.lease.Lease()
	t.lists.Lock()
	defer t.lists.Unlock()
	t.look = t.look || read
	last := ""
	for inc := range incs {
		if inc != last && inc != own {
			last = inc
			t.owners[orphan{channel, inc}] = true
		}
	}
}

// ownersOf gives the incarnations of users' metas.
func ownersOf(users iter.Seq[*User]) iter.Seq[string] {
	return func(yield func(string) bool) {
		for u := range users {
			for i := range u.Metas {
				if !yield(u.Metas[i].Inc) {
					return
				}
			}
		}
	}
}

// noteOwnersLocked notes the owners of all entries that the view knows of: also of those that it does not show, since
// they are known to have left.
func (c *Channel) noteOwnersLocked(read bool) {
	r := &c.view.replica
	c.t.noteOwners(c.name(), ownersOf(r.users.all()), read)
	c.t.noteOwners(c.name(), slices.Values(r.tombstones.takeReturned()), read)
}

// checkOrphans looks up the owners (those that audits noted not more often than every Audit), and removes entries whose
// incarnation has been unknown for one lease time.
func (t *Tracker) checkOrphans() {
	t.lists.Lock()
	if !t.look && len(t.orphans) == 0 && time.Since(t.looked) < Audit {
		t.lists.Unlock()
		return
	}
	owners := t.owners
	t.owners, t.look, t.looked = map[orphan]bool{}, false, time.Now()
	t.lists.Unlock()
	for o := range t.orphans {
		owners[o] = true
	}
	alive, failed := map[string]bool{}, false
	for _, o := range slices.SortedFunc(maps.Keys(owners), orphan.compare) {
		known, asked := alive[o.inc]
		if !asked {
			var err error
			if known, err = t.lease.IncarnationAlive(t.ctx, o.inc); err != nil {
				t.lists.Lock()
				for o := range owners {
					t.owners[o] = true
				}
				t.look = true
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
		case time.Since(first) >= t.cfg.TTL && !failed:
			n, err := t.removeOrphan(o)
			if err != nil { // of a Cluster one master may be away: next time the others come first
				t.orphans[o], failed = time.Now(), true
				continue
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

// removeOrphan removes what Redis lists of an unknown incarnation, and what this node's view shows of it, but not what
// this node holds: that is about to be written again.
func (t *Tracker) removeOrphan(o orphan) (n int64, err error) {
	refs, err := t.store.Entries(t.ctx, o.channel, o.inc)
	if err != nil {
		return 0, err
	}
	if c := t.channel(o.channel); c != nil {
		c.mu.Lock()
		for u := range c.view.replica.users.all() {
			for i := range u.Metas {
				if u.Metas[i].Inc == o.inc {
					refs[entryRef{u.Metas[i].ConnID, u.ID}] = true
				}
			}
		}
		c.mu.Unlock()
	}
	n, _, err = t.store.remove(t.ctx, o.channel, o.inc, removeAll, 0, t.others(o.channel, refs))
	return n, err
}
