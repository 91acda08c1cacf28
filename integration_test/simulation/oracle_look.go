package simulation

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// inRedis is what Redis holds of a channel: user to connections.
func (o *oracle) inRedis(channel string) map[string]string {
	out := map[string]string{}
	users := o.w.redis.Get(o.w.keys.Users(channel))
	if users == nil {
		return out
	}
	for user := range users.Zset {
		var parts []string
		if h := o.w.redis.Get(o.w.keys.User(channel, user)); h != nil {
			for _, id := range slices.Sorted(maps.Keys(h.Hash)) {
				if id != "s" {
					_, info, _ := strings.Cut(h.Hash[id], "{\"n\":")
					parts = append(parts, id+"="+strings.TrimSuffix(info, "}"))
				}
			}
		}
		out[user] = strings.Join(parts, " ")
	}
	return out
}

// truth is what must be shown of a channel: user to connections, which are sorted.
func (o *oracle) truth(channel string) map[string]string {
	parts := map[string][]string{}
	for _, c := range o.conns {
		if c.channel == channel && !c.node.dead {
			parts[c.user] = append(parts[c.user], c.id+"="+strconv.Itoa(c.n))
		}
	}
	out := map[string]string{}
	for user, list := range parts {
		slices.Sort(list)
		out[user] = strings.Join(list, " ")
	}
	return out
}

func sortWords(m map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range m {
		words := strings.Fields(v)
		slices.Sort(words)
		out[k] = strings.Join(words, " ")
	}
	return out
}

// look compares what was heard in the rooms that something happened in with their lists: scripts are told at once.
func (o *oracle) look() {
	for _, n := range o.w.nodes {
		if n.dead || n.stopping || len(n.touched) == 0 {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(n.touched)) {
			if r := n.rooms[name]; r != nil {
				r.agrees()
			}
		}
		clear(n.touched)
	}
}

// agrees checks that the script knows the users of the view.
func (r *room) agrees() {
	us, _ := r.ch.List("")
	same := len(us) == len(r.present)
	for _, u := range us {
		same = same && r.present[u.ID]
	}
	if !same {
		r.fail("the script knows %v, the list is %v", slices.Sorted(maps.Keys(r.present)), r.users())
	}
}

// exact is what must hold after a time of quiet. SPEC 5.1: "In any channel, each live node's view equals what the
// connected clients tracked"; SPEC 5.4: no ghost, in Redis neither.
func (o *oracle) exact() {
	o.w.story.add("CHECK")
	for i := range o.w.plan.Channels {
		channel := o.w.plan.channel(i)
		o.keepsSeen(channel)
		want := o.truth(channel)
		if got := sortWords(o.inRedis(channel)); !maps.Equal(got, want) {
			o.w.fail("Redis holds %v of %s, want %v", got, channel, want)
		}
		for _, n := range o.w.live() {
			if r := n.rooms[channel]; r != nil {
				r.exact(want)
			}
		}
	}
	o.lossy, o.troubled = false, false
	clear(o.unaware)
	for _, n := range o.w.live() {
		for _, r := range n.rooms {
			r.ledger = o.ledger(r.name)
			for _, c := range r.clients {
				c.ledger = o.ledger(r.name)
			}
		}
	}
}

func (r *room) exact(want map[string]string) {
	if !r.ready() {
		r.fail("the channel has not been read")
		return
	}
	r.agrees()
	if got := sortWords(r.users()); !maps.Equal(got, want) {
		r.fail("the list is %v, want %v", got, want)
	}
	for _, id := range slices.Sorted(maps.Keys(r.clients)) {
		c := r.clients[id]
		if c.roster.Users == nil {
			r.fail("client %s was never given a state", id)
			continue
		}
		knows := map[string]string{}
		for user, metas := range c.roster.Users {
			knows[user] = entries(metas)
		}
		if got := sortWords(knows); !c.same(got, want) {
			r.fail("client %s knows %v, want %v", id, got, want)
		}
	}
}

// same: on a plain route only who is there is exact (SPEC 6).
func (c *client) same(got, want map[string]string) bool {
	if c.devices {
		return maps.Equal(got, want)
	}
	return maps.EqualFunc(got, want, func(string, string) bool { return true })
}
