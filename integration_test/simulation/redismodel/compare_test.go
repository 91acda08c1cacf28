package redismodel_test

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"rollcall/history"
	"rollcall/integration_test/simulation/redismodel"
	"rollcall/redisconn"
)

// compareMessages waits for all messages and holds them against the model's.
func (p *pair) compareMessages() {
	for _, c := range channels {
		if err := p.topics.Publish(p.t.Context(), p.k.Topic(c), []byte(last)); err != nil {
			p.t.Fatal(err)
		}
	}
	for range channels {
		select {
		case <-p.over:
		case <-p.t.Context().Done():
			p.t.Fatal("the last message did not come")
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for topic, want := range p.heard {
		got := p.told[topic]
		for i := range min(len(want), len(got)) {
			if plain(want[i]) != plain(got[i]) {
				p.t.Fatalf("message %d on %s: the server sends %s, the model %s", i, topic, plain(want[i]), plain(got[i]))
			}
		}
		if len(want) != len(got) {
			p.t.Fatalf("%d messages on %s, %d of the model", len(want), topic, len(got))
		}
	}
}

// plain gives the parts of a change in one order: HGETALL has none.
func plain(message string) string {
	if history.IsBroadcast(message) {
		return timeless(message)
	}
	var words []string
	for rest := message[1:]; rest != ""; {
		length, tail, _ := strings.Cut(rest, ":")
		n, err := strconv.Atoi(length)
		if err != nil || n > len(tail) {
			return "damaged: " + message
		}
		words, rest = append(words, tail[:n]), tail[n:]
	}
	slices.Sort(words)
	return timeless(strings.Join(words, "|"))
}

// timeless leaves out deadlines, and the times of positions.
func timeless(text string) string { return times.ReplaceAllString(text, "") }

var times = regexp.MustCompile(`~\d+|\d{13}`)

// compareKeys holds every key that there can be against the model's.
func (p *pair) compareKeys() {
	k := p.k
	keys := []string{k.Nodes(), k.Reaping()}
	for _, inc := range incs {
		keys = append(keys, k.Node(inc), k.NodeChannels(inc), k.Claim(inc))
	}
	for _, ch := range channels {
		keys = append(keys, k.Head(ch), k.Users(ch))
		keys = append(keys, k.History(ch), k.HistoryHead(ch))
		for _, c := range conns {
			keys = append(keys, k.OnceMark(k.Topic(ch), c))
		}
		for _, u := range users {
			keys = append(keys, k.User(ch, u))
		}
		for _, inc := range incs {
			keys = append(keys, k.Entries(ch, inc))
		}
	}
	held := p.model.Keys()
	for _, key := range keys {
		item := held[key]
		delete(held, key)
		if want, got := p.dump(key), show(item); want != got {
			p.t.Errorf("%s: the server holds %s, the model %s", key, want, got)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(held)) {
		p.t.Errorf("the model holds %s, which nobody wrote", key)
	}
}

func (p *pair) do(args ...any) any {
	res, err := p.b.Do(p.t.Context(), args...)
	if err != nil && !errors.Is(err, redisconn.Nil) {
		p.t.Fatalf("%v: %v", args, err)
	}
	return res
}

// dump is what the server holds in a key, as show writes it.
func (p *pair) dump(key string) string {
	var text string
	switch kind := p.do("type", key); kind {
	case "none":
		return "nothing"
	case "hash":
		list, _ := p.do("hgetall", key).([]any)
		var parts []string
		for i := 0; i+1 < len(list); i += 2 {
			parts = append(parts, fmt.Sprintf("%v=%v", list[i], list[i+1]))
		}
		slices.Sort(parts)
		text = timeless(fmt.Sprint("hash ", parts))
	case "zset":
		list, _ := p.do("zrange", key, 0, -1).([]any)
		text = fmt.Sprint("zset ", sorted(list))
	case "set":
		list, _ := p.do("smembers", key).([]any)
		text = fmt.Sprint("set ", sorted(list))
	case "stream":
		list, _ := p.do("xrevrange", key, "+", "-", "count", 3).([]any)
		slices.Reverse(list) // before them are what Redis has not cut yet
		text = timeless(fmt.Sprint("stream ", list))
	default:
		text = timeless(fmt.Sprint("text ", p.do("get", key)))
	}
	if ms, _ := p.do("pttl", key).(int64); ms > 0 {
		text += " for a while"
	}
	return text
}

func show(i *redismodel.Item) string {
	var text string
	switch {
	case i == nil:
		return "nothing"
	case i.Hash != nil:
		var parts []string
		for f, v := range i.Hash {
			parts = append(parts, f+"="+v)
		}
		slices.Sort(parts)
		text = timeless(fmt.Sprint("hash ", parts))
	case i.Zset != nil:
		text = fmt.Sprint("zset ", slices.Sorted(maps.Keys(i.Zset)))
	case i.Set != nil:
		text = fmt.Sprint("set ", slices.Sorted(maps.Keys(i.Set)))
	case i.Stream != nil:
		var list []any
		for _, e := range i.Stream.Entries[max(0, len(i.Stream.Entries)-3):] {
			list = append(list, []any{e.ID(), []any{"", e.Text}})
		}
		text = timeless(fmt.Sprint("stream ", list))
	default:
		text = timeless("text " + i.Text)
	}
	if i.Expire != 0 {
		text += " for a while"
	}
	return text
}
