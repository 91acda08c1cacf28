package simulation

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/history"
)

// archive knows every message that Redis ever kept, and what became of it; and from it what followers may be told
// (Promise 7).
type archive struct {
	w        *world
	channels map[string]*shelf
	acked    map[string]int // texts of publications that were acknowledged: how often
	backTill time.Time      // the clock of Redis went back: until then it may give a position again
}

// shelf is one channel's part of the archive.
type shelf struct {
	items []*item          // in the order in which Redis kept them
	at    map[string][]int // where those of a position stand; two of one are twins
	begun map[string]int   // a position without a message, where counting began: how many items are before
	head  history.Position // where the channel stands; Never: it is not counted
	start string           // where that counting began
}

// fate is what became of a message.
type fate int

const (
	stays   fate = iota
	forgone      // a failover of Redis lost it
	wiped        // and with it where the channel stands: nobody can go on as if nothing had been
)

type item struct {
	at        history.Position
	text      string
	fate      fate
	twin      bool // another has the same position, as the clock of Redis went back
	next      int  // how many items there were when it was lost
	unheardBy map[*node]bool
}

func newArchive(w *world) *archive {
	return &archive{w: w, channels: map[string]*shelf{}, acked: map[string]int{}}
}

func (a *archive) shelf(channel string) *shelf {
	s := a.channels[channel]
	if s == nil {
		s = &shelf{at: map[string][]int{}, begun: map[string]int{}, head: history.Never}
		a.channels[channel] = s
	}
	return s
}

// ran is told of every command that Redis ran.
func (a *archive) ran(cmd redis.Cmder) {
	name, args := a.w.script(cmd), cmd.Args()
	if name != "publish" && name != "read" {
		return
	}
	keys := args[2].(int)
	arg := func(i int) string { return fmt.Sprint(args[3+keys+i]) }
	channel := a.w.keeps(fmt.Sprint(args[3]))
	s := a.shelf(channel)
	if name == "read" {
		list, _ := cmd.(*redis.Cmd).Val().([]any)
		s.counts(fmt.Sprint(list[0]))
		return
	}
	text := fmt.Sprint(cmd.(*redis.Cmd).Val())
	if strings.HasPrefix(text, "=") {
		return
	}
	last, ok := history.ParsePosition(text)
	if !ok {
		a.w.fail("a publication in %s is answered with %s", channel, text)
		return
	}
	var texts []string
	for i := 3; 3+keys+i+1 < len(args); i += 2 {
		if arg(i) != "" {
			texts = append(texts, strings.TrimPrefix(arg(i+1), " "))
		}
	}
	for i, text := range texts {
		a.keeps(channel, text, history.Position{MS: last.MS, Seq: last.Seq - int64(len(texts)-1-i)})
	}
}

// counts notes where a channel without messages stands.
func (s *shelf) counts(text string) {
	if p, ok := history.ParsePosition(text); ok && s.head == history.Never {
		s.head, s.start = p, text
		s.begun[text] = len(s.items)
	}
}

// keeps notes a message. SPEC 7: a position is "given by Redis to each message of such a channel, rising by one".
func (a *archive) keeps(channel, text string, at history.Position) {
	s := a.shelf(channel)
	if s.head == history.Never {
		s.counts(history.Position{MS: at.MS, Seq: 0}.String())
	}
	if at.Seq != s.head.Seq+1 || at.MS < s.head.MS {
		a.w.fail("after %v in %s comes %v", s.head, channel, at)
	}
	if strings.HasPrefix(text, "t") {
		a.w.fail("%s in %s is transient, and is kept", text, channel)
	}
	it := &item{at: at, text: text, unheardBy: map[*node]bool{}}
	for _, i := range s.at[at.String()] {
		s.items[i].twin, it.twin = true, true
		if time.Now().After(a.backTill) {
			a.w.fail("%v in %s is given to %s, and was to %s", at, channel, text, s.items[i].text)
		}
	}
	for _, o := range s.items {
		if o.text == text && o.fate == stays {
			a.w.fail("%s is published twice in %s, at %v and %v", text, channel, o.at, at)
		}
	}
	s.head = at
	s.at[at.String()] = append(s.at[at.String()], len(s.items))
	s.items = append(s.items, it)
}

// loses looks what Redis still has after it lost data.
func (a *archive) loses(wipe bool) {
	for i := range a.w.plan.Channels {
		channel := fmt.Sprint("c", i)
		s := a.shelf(channel)
		head := history.Never
		if h := a.w.redis.Get(a.w.keys.HistoryHead(channel)); h != nil {
			text, _, _ := strings.Cut(h.Text, " ")
			head, _ = history.ParsePosition(text)
		}
		for _, it := range s.items {
			switch {
			case it.fate != stays || head != history.Never && it.at.Seq <= head.Seq:
				continue
			case wipe:
				it.fate = wiped
			default:
				it.fate = forgone
			}
			it.next = len(s.items)
			a.w.story.add("%s at %v in %s is lost", it.text, it.at, channel)
		}
		s.head = head
	}
}

// dropped notes that a node never hears a message.
func (a *archive) dropped(n *node, channel, payload string) {
	if !history.IsBroadcast(payload) {
		return
	}
	if b, ok := history.Decode(payload); ok && b.Kept {
		if _, it := a.shelf(channel).find(b.At.String(), b.Text); it != nil {
			it.unheardBy[n] = true
		}
	}
}

// find gives the message of a position, with this text when one is given.
func (s *shelf) find(at, text string) (index int, it *item) {
	for _, i := range slices.Backward(s.at[at]) {
		if text == "" || s.items[i].text == text {
			return i, s.items[i]
		}
	}
	return -1, nil
}

// stand is where somebody is who was given a position: behind so many items; it is the last of them unless the
// position is one where counting began.
func (s *shelf) stand(at string) (behind int, it *item, ok bool) {
	if i, it := s.find(at, ""); it != nil {
		return i + 1, it, true
	}
	behind, ok = s.begun[at]
	return behind, nil, ok
}

// next says what is wrong when one who stands somewhere is given a message. Promise 7: "between two positions that a
// client was given without lost or recovered:false in between, it got every message … once, in order".
func (s *shelf) next(n *node, at standing, index int) string {
	it := s.items[index]
	if it.twin || at.it != nil && at.it.twin {
		return ""
	}
	if index < at.behind {
		return fmt.Sprintf("is given %v again, or out of order, after %s", it.at, at.position)
	}
	for _, missed := range s.items[at.behind:index] {
		if missed.fate == stays || missed.fate == wiped && !missed.unheardBy[n] {
			return fmt.Sprintf("is given %v after %s, but not %s at %v, and is not told", it.at, at.position, missed.text,
				missed.at)
		}
	}
	if at.it != nil && at.it.fate == forgone && index >= at.it.next {
		return fmt.Sprintf("goes on with %v after %s, which Redis has lost", it.at, at.position)
	}
	return ""
}

// silent tells whether nothing could show one on a node that the channel is not where it is: since a wipe, or since
// messages were lost without a sign, nothing else came.
func (s *shelf) silent(n *node, at standing) bool {
	for _, it := range s.items[at.behind:] {
		if !it.unheardBy[n] {
			return false
		}
	}
	return at.behind < len(s.items) || s.head.Seq == 0 || at.it != nil && at.it.fate == wiped
}

// deserved tells whether one who was at a position, and whose queue takes so many messages (0: all), is rightly told
// that what came since can't be had.
func (a *archive) deserved(channel, at string, space int, why history.Why) bool {
	s := a.shelf(channel)
	p, _ := history.ParsePosition(at)
	behind, it, ok := s.stand(at)
	if s.head == history.Never || !ok || it == nil && s.start != at || it != nil && (it.twin || it.fate != stays) {
		return true // it can't in any case
	}
	const about = 1000 // ms, in which clocks differ and things are on their way
	missed := s.head.Seq - p.Seq
	switch why {
	case history.TooMany:
		return missed > int64(a.w.plan.Keep.Size) || space > 0 && missed > int64(space)
	case history.Expired:
		return missed > 0 && a.w.clock().UnixMilli()-s.items[behind].at.MS > a.w.plan.Keep.TTL.Milliseconds()-about
	}
	return false
}
