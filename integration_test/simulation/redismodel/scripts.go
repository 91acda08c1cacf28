package redismodel

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"rollcall/redisconn"
)

// Source is the text of one script and what the model does in its place.
type Source struct {
	Name   string
	Script *redisconn.Script
	Run    func(*Call) any
}

// Load reads the scripts from the project's folder and puts the model's beside them. When a script
// changes, the conformance test says so until it is told again here.
func Load(project string) ([]Source, error) {
	all := []Source{
		{"presence/scripts/join.lua", nil, join}, {"presence/scripts/leave.lua", nil, leave},
		{"presence/scripts/linger.lua", nil, linger}, {"presence/scripts/reap.lua", nil, reap},
		{"presence/scripts/register.lua", nil, register},
		{"cluster/scripts/heartbeat.lua", nil, heartbeat}, {"cluster/scripts/declare.lua", nil, declare},
		{"cluster/scripts/end.lua", nil, end},
	}
	message, err := os.ReadFile(filepath.Join(project, "presence/scripts/message.lua"))
	if err != nil {
		return nil, fmt.Errorf("read script: %w", err)
	}
	for i, s := range all {
		text, err := os.ReadFile(filepath.Join(project, s.Name))
		if err != nil {
			return nil, fmt.Errorf("read script: %w", err)
		}
		base := strings.TrimSuffix(filepath.Base(s.Name), ".lua")
		if strings.HasPrefix(s.Name, "presence/") && base != "register" {
			text = append(slices.Clone(message), text...)
		}
		all[i].Name, all[i].Script = base, redisconn.NewScript(string(text))
	}
	return all, nil
}

// ByHash is what Config.Scripts takes.
func ByHash(all []Source) map[string]func(*Call) any {
	out := map[string]func(*Call) any{}
	for _, s := range all {
		out[s.Script.String()] = s.Run
	}
	return out
}

// forget is how long (ms) an empty channel is remembered.
const forget = 86400000

// message.lua

func ns(s string) string { return strconv.Itoa(len(s)) + ":" + s }

func (c *Call) part(uid, key string) (text string, n int) {
	h := c.hash(key)
	var b strings.Builder
	for _, conn := range slices.Sorted(maps.Keys(h)) {
		if conn != "s" {
			n++
			b.WriteString(ns(conn) + ns(h[conn]))
		}
	}
	return ns(uid) + ns(strconv.Itoa(n)) + b.String(), n
}

func (c *Call) advance(head, epoch string) (string, int64) {
	seq := c.hincr(head, "seq")
	c.hsetnx(head, "epoch", epoch)
	epoch, _ = c.hget(head, "epoch")
	return epoch, seq
}

func (c *Call) position(answer, head string) []any {
	epoch, _ := c.hget(head, "epoch")
	text, _ := c.hget(head, "seq")
	seq, _ := strconv.ParseInt(text, 10, 64) // absent is 0
	return []any{answer, epoch, seq}
}

func (c *Call) tell(topic, epoch string, seq int64, op string, gone []string, users []string) {
	var b strings.Builder
	b.WriteString("p" + ns(epoch) + ns(strconv.FormatInt(seq, 10)) + ns(op) + ns(strconv.Itoa(len(gone))))
	for _, g := range gone {
		b.WriteString(ns(g))
	}
	b.WriteString(ns(strconv.Itoa(len(users))) + strings.Join(users, ""))
	c.publish(topic, b.String())
}

func (c *Call) past(deadline string) bool {
	ms, _ := strconv.ParseInt(deadline, 10, 64) // a number always: presence writes it
	return c.s.ms() > ms && !c.s.cfg.Flaws.NoFence
}

func (c *Call) refused(head, deadline, known string) bool {
	epoch, _ := c.hget(head, "epoch")
	return c.past(deadline) || known != "" && known != epoch
}

// lingers gives the deadline of an entry whose connection has gone, 0 when it is there.
func lingers(entry string) int64 {
	words := strings.SplitN(entry, " ", 5)
	if len(words) < 5 {
		return 0
	}
	_, deadline, _ := strings.Cut(words[3], "~")
	ms, _ := strconv.ParseInt(deadline, 10, 64) // none is 0
	return ms
}

// fields gives a meta's own fields as JSON.
func fields(entry string) string { return strings.SplitN(entry, " ", 5)[4] }

func (c *Call) enlist(head, users, entries, conn, uid string) {
	if c.zadd(users, 0, uid) && len(c.zset(users)) == 1 {
		c.persist(head)
	}
	c.zadd(entries, 0, conn+" "+uid)
}

func (c *Call) move(entries, from, to, conn, uid string) {
	c.zrem(entries+from, conn+" "+uid)
	c.zadd(entries+to, 0, conn+" "+uid)
}

// take is take of message.lua, for an answer.
func (c *Call) take(answer, entries, conn, uid, inc string) []any {
	c.zrem(entries+inc, conn+" "+uid)
	c.hdel(c.keys[2], conn)
	epoch, seq := c.advance(c.keys[0], c.args[1])
	text := c.rest(uid, c.keys[2], c.keys[1], seq)
	c.forgetEmpty(c.keys[0], c.keys[1])
	c.tell(c.args[3], epoch, seq, "l", []string{conn}, []string{text})
	return []any{answer, epoch, seq}
}

func owner(entry string) string {
	inc, _, _ := strings.Cut(entry, " ")
	return inc
}

func generation(inc string) int {
	n, _ := strconv.Atoi(inc[strings.LastIndexByte(inc, '-')+1:]) // none is 0
	return n
}

func (c *Call) stale(old, inc string) bool {
	return generation(old) > generation(inc) && !c.s.cfg.Flaws.NoStale
}

// The presence scripts; KEYS and ARGV are those of the Lua files.

func join(c *Call) any {
	if c.refused(c.keys[0], c.args[0], c.args[9]) {
		return []any{"fenced"}
	}
	conn, uid, inc, body := c.args[4], c.args[5], c.args[6], c.args[7]
	cur, here := c.hget(c.keys[2], conn)
	old := owner(cur)
	if here && c.stale(old, inc) {
		return []any{"stale"}
	}
	if here && cur[len(old)+1:] == body {
		if old != inc {
			c.move(c.args[8], old, inc, conn, uid)
			c.hset(c.keys[2], conn, inc+" "+body)
		}
		return c.position("ok", c.keys[0])
	}
	var lingering []string
	devices, bytes := 1, len(fields(inc+" "+body))
	h := c.hash(c.keys[2])
	for _, other := range slices.Sorted(maps.Keys(h)) {
		switch {
		case other == "s" || other == conn:
		case lingers(h[other]) != 0 && !c.s.cfg.Flaws.KeepDevices:
			lingering = append(lingering, other)
		default:
			devices, bytes = devices+1, bytes+len(fields(h[other]))
		}
	}
	if c.args[10] != "0" {
		mostDevices, _ := strconv.Atoi(c.args[10]) // numbers always: presence writes them
		mostBytes, _ := strconv.Atoi(c.args[11])
		switch {
		case !here && devices > mostDevices:
			return []any{"devices"}
		case bytes > mostBytes:
			return []any{"metas"}
		}
	}
	for _, other := range lingering {
		c.zrem(c.args[8]+owner(h[other]), other+" "+uid)
		c.hdel(c.keys[2], other)
	}
	op := "u"
	switch {
	case !here:
		op = "j"
		c.enlist(c.keys[0], c.keys[1], c.keys[3], conn, uid)
	case old != inc:
		c.move(c.args[8], old, inc, conn, uid)
	}
	epoch, seq := c.advance(c.keys[0], c.args[1])
	c.hset(c.keys[2], conn, inc+" "+body, "s", strconv.FormatInt(seq, 10))
	text, _ := c.part(uid, c.keys[2])
	c.tell(c.args[3], epoch, seq, op, lingering, []string{text})
	return []any{"ok", epoch, seq}
}

func leave(c *Call) any {
	if c.past(c.args[0]) {
		return []any{"fenced"}
	}
	conn, uid := c.args[4], c.args[5]
	cur, here := c.hget(c.keys[2], conn)
	if !here {
		return c.position("ok", c.keys[0])
	}
	old := owner(cur)
	if c.stale(old, c.args[6]) {
		return []any{"stale"}
	}
	return c.take("ok", c.args[7], conn, uid, old)
}

func linger(c *Call) any {
	if c.refused(c.keys[0], c.args[0], c.args[9]) {
		return []any{"fenced"}
	}
	conn, uid, inc, body, last := c.args[4], c.args[5], c.args[6], c.args[7], c.args[11]
	cur, here := c.hget(c.keys[2], conn)
	old := owner(cur)
	if here && c.stale(old, inc) {
		return []any{"stale"}
	}
	if at, known := c.hget(c.keys[0], "epoch"); !here && (last == "" || known && at == last) {
		return c.position("gone", c.keys[0])
	}
	for other, entry := range c.hash(c.keys[2]) {
		if other != "s" && other != conn && lingers(entry) == 0 {
			if !here {
				return c.position("gone", c.keys[0])
			}
			return c.take("gone", c.args[8], conn, uid, old)
		}
	}
	stay, _ := strconv.ParseInt(c.args[10], 10, 64) // a number always: presence writes it
	words := strings.SplitN(body, " ", 4)
	words[2] += "~" + strconv.FormatInt(c.s.ms()+stay, 10)
	entry := inc + " " + strings.Join(words, " ")
	if here {
		if old != inc {
			c.move(c.args[8], old, inc, conn, uid)
		}
		c.hset(c.keys[2], conn, entry)
		return c.position("ok", c.keys[0])
	}
	c.enlist(c.keys[0], c.keys[1], c.keys[3], conn, uid)
	epoch, seq := c.advance(c.keys[0], c.args[1])
	c.hset(c.keys[2], conn, entry, "s", strconv.FormatInt(seq, 10))
	text, _ := c.part(uid, c.keys[2])
	c.tell(c.args[3], epoch, seq, "j", nil, []string{text})
	return []any{"ok", epoch, seq}
}

// rest writes what is left of a user who lost connections, and gives its part of the message.
func (c *Call) rest(uid, key, users string, seq int64) string {
	text, left := c.part(uid, key)
	if left == 0 {
		c.del(key)
		c.zrem(users, uid)
	} else {
		c.hset(key, "s", strconv.FormatInt(seq, 10))
	}
	return text
}

func (c *Call) forgetEmpty(head, users string) {
	if len(c.zset(users)) == 0 {
		c.pexpire(head, forget)
	}
}

func reap(c *Call) any {
	inc := c.args[3]
	var gone, order []string
	touched := map[string]bool{}
	later := int64(0)
	for i := 6; i+1 < len(c.args); i += 2 {
		conn, uid := c.args[i], c.args[i+1]
		key := c.args[4] + uid
		cur, here := c.hget(key, conn)
		mine := here && (owner(cur) == inc || c.s.cfg.Flaws.ReapAll)
		if till := lingers(cur); mine && c.args[5] == "due" && till > c.s.ms() && !c.s.cfg.Flaws.ReapLingering {
			if later == 0 || till < later {
				later = till
			}
			continue
		}
		c.zrem(c.keys[2], conn+" "+uid)
		if mine {
			c.hdel(key, conn)
			gone = append(gone, conn)
			if !touched[uid] {
				touched[uid] = true
				order = append(order, uid)
			}
		}
	}
	if len(gone) == 0 {
		return []any{int64(0), later}
	}
	epoch, seq := c.advance(c.keys[0], c.args[0])
	users := make([]string, len(order))
	for i, uid := range order {
		users[i] = c.rest(uid, c.args[4]+uid, c.keys[1], seq)
	}
	c.forgetEmpty(c.keys[0], c.keys[1])
	if !c.s.cfg.Flaws.ReapSilently {
		c.tell(c.args[2], epoch, seq, "r", gone, users)
	}
	return []any{int64(len(gone)), later}
}

func register(c *Call) any {
	if _, ok := c.zscore(c.keys[0], c.args[0]); !ok {
		return int64(0)
	}
	c.sadd(c.keys[1], c.args[1])
	return int64(1)
}

// The cluster's scripts.

func heartbeat(c *Call) any {
	if _, ok := c.zscore(c.keys[0], c.args[0]); !ok && c.args[2] == "renew" {
		return int64(0)
	}
	ttl, _ := strconv.ParseInt(c.args[1], 10, 64) // a number always: cluster writes it
	deadline := c.s.ms() + ttl
	c.zadd(c.keys[0], float64(deadline), c.args[0])
	c.hset(c.keys[1], c.args[3:]...)
	return deadline
}

func declare(c *Call) any {
	now := c.s.ms()
	own, ok := c.zscore(c.keys[0], c.args[0])
	grace, _ := strconv.ParseInt(c.args[1], 10, 64) // a number always: cluster writes it
	if c.s.cfg.Flaws.ReapHastily {
		grace = 0
	} else if !ok || int64(own) < now {
		return []any{}
	}
	for _, inc := range c.zrange(c.keys[0]) {
		if score, _ := c.zscore(c.keys[0], inc); int64(score) < now-grace {
			c.zrem(c.keys[0], inc)
			c.zadd(c.keys[1], float64(now), inc)
		}
	}
	return list(slices.DeleteFunc(c.zrange(c.keys[1]), func(inc string) bool {
		score, _ := c.zscore(c.keys[1], inc)
		return int64(score) > now
	}))
}

func end(c *Call) any {
	n := int64(0)
	if c.zrem(c.keys[0], c.args[0]) {
		n++
	}
	if c.args[1] == "retire" && c.exists(c.keys[3]) {
		c.zadd(c.keys[1], float64(c.s.ms()/1000*1000), c.args[0])
		return n
	}
	if c.zrem(c.keys[1], c.args[0]) {
		n++
	}
	c.del(c.keys[2], c.keys[3])
	return min(n, 1)
}
