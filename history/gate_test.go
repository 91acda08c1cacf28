package history

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rollcall/testkit/storytext"
)

// published is one message of the model, in the order in which Redis published all.
type published struct {
	m     Message[string]
	lost  bool // a failover lost it
	index int
}

// model is Redis with one channel, a subscription that may break, one node's gate and its clients.
type model struct {
	t      *rapid.T
	p      Policy
	now    time.Time
	log    []*published // all that ever was published
	held   []*published // that Redis has; the counter is that of the last
	began  Position     // where the channel stood before the first
	topic  []*Message[string]
	plain  int // transient messages so far
	gate   *Gate[string, *listener]
	read   *Held[string] // what the read under way has seen; nil: it has not come to Redis yet
	reads  Read          // what it is for; ReadNothing: none
	all    []*listener
	events int
}

// listener is a client, and where it stands.
type listener struct {
	name    string
	since   *Position
	at      int // index into the log of the last message that it got, or after which it began
	in      bool
	dropped bool
}

func (w *model) at() Position {
	if len(w.held) == 0 {
		return w.began
	}
	return w.held[len(w.held)-1].m.At
}

func (w *model) publish() {
	at := w.at()
	m := Message[string]{At: Position{max(w.now.UnixMilli(), at.MS), at.Seq + 1}, Prev: at.MS, Until: w.now.Add(w.p.TTL),
		Size: 10, Body: strconv.Itoa(len(w.log))}
	w.log = append(w.log, &published{m: m, index: len(w.log)})
	w.held = append(w.held, w.log[len(w.log)-1])
	w.topic = append(w.topic, &m)
}

// window is what Redis serves.
func (w *model) window() (out []Message[string]) {
	for _, p := range w.held[max(0, len(w.held)-w.p.Size):] {
		if w.now.Before(p.m.Until) {
			out = append(out, p.m)
		}
	}
	return out
}

// broke: what was under way is lost, and the subscription is back.
func (w *model) broke() {
	w.topic = nil
	w.gate.Broke()
}

func (w *model) wipe() {
	w.held = nil
	w.now = w.now.Add(time.Millisecond)
	w.began = Position{w.now.UnixMilli(), 0}
}

// failover loses the last messages that Redis acknowledged.
func (w *model) failover() {
	for n := rapid.IntRange(0, min(3, len(w.held))).Draw(w.t, "lost"); n > 0; n-- {
		w.held[len(w.held)-1].lost = true
		w.held = w.held[:len(w.held)-1]
	}
	w.now = w.now.Add(time.Millisecond) // no seq is given again in the same ms
	if len(w.held) == 0 {
		w.began = Position{w.now.UnixMilli(), 0}
	}
	w.broke()
}

// deliver hands the gate the next message of the topic.
func (w *model) deliver() {
	if len(w.topic) == 0 {
		return
	}
	m := w.topic[0]
	w.topic = w.topic[1:]
	if m.At == (Position{}) {
		w.do(w.gate.HearTransient(m.Body, 10))
		return
	}
	w.do(w.gate.Hear(*m))
}

// step lets a read begin, come to Redis, or come back.
func (w *model) step() {
	switch {
	case w.reads == ReadNothing:
		if w.reads = w.gate.Needs(); w.reads != ReadNothing {
			w.gate.Begin()
		}
	case w.read == nil:
		w.read = &Held[string]{What: w.reads, At: w.at(), Now: w.now.UnixMilli()}
		if w.reads == ReadAll {
			w.read.Messages = w.window()
		}
	default:
		h := *w.read
		w.read, w.reads = nil, ReadNothing
		w.do(w.gate.Got(h, w.now))
	}
}

func (w *model) join() {
	l := &listener{name: fmt.Sprint("c", len(w.all)), at: -1}
	if len(w.log) > 0 && rapid.Bool().Draw(w.t, "comes back") {
		p := rapid.SampledFrom(w.log).Draw(w.t, "since")
		l.since, l.at = &p.m.At, p.index
		if rapid.IntRange(0, 3).Draw(w.t, "forged") == 0 {
			l.since, l.at = &Position{p.m.At.MS + rapid.Int64Range(-5, 5).Draw(w.t, "ms"), p.m.At.Seq}, -1
			if i := slices.IndexFunc(w.log, func(p *published) bool { return p.m.At == *l.since }); i >= 0 {
				l.at = i
			}
		}
	}
	w.all = append(w.all, l)
	w.do(w.gate.Join(Waiter[*listener]{Who: l, Since: l.since}, w.now))
}

func (w *model) leave() {
	if len(w.all) == 0 {
		return
	}
	l := rapid.SampledFrom(w.all).Draw(w.t, "who")
	if w.all = slices.DeleteFunc(w.all, func(o *listener) bool { return o == l }); l.in {
		w.gate.Leave()
		return
	}
	l.dropped = true
	w.gate.Drop(func(o *listener) bool { return o.dropped })
}

// get gives a listener one message and checks that nothing that could be had is between it and the one before.
func (w *model) get(l *listener, body string) {
	i, _ := strconv.Atoi(body)
	if i <= l.at {
		w.t.Fatalf("%s got message %d after %d", l.name, i, l.at)
	}
	for _, p := range w.log[l.at+1 : i] {
		if !p.lost {
			w.t.Fatalf("%s did not get message %d (%v) and was not told", l.name, p.index, p.m.At)
		}
	}
	l.at = i
}

// stand lets a listener begin after a position.
func (w *model) stand(l *listener, at Position) {
	l.at = slices.IndexFunc(w.log, func(p *published) bool { return p.m.At == at })
	if l.at < 0 { // of a channel without messages: after all that was published before its counting began
		l.at = len(w.log) - 1
		for l.at >= 0 && w.log[l.at].m.At.MS >= at.MS {
			l.at--
		}
	}
}

func (w *model) do(effects []Effect[string, *listener]) {
	for _, e := range effects {
		w.events++
		switch {
		case e.Answer != nil:
			l := e.Answer.Who
			l.in = true
			if l.since == nil || e.Answer.Why != "" {
				w.stand(l, e.Answer.At)
				continue
			}
			if l.at < 0 { // a forged one may have come true meanwhile
				l.at = slices.IndexFunc(w.log, func(p *published) bool { return p.m.At == *l.since })
			}
			if l.at < 0 || w.log[l.at].m.At != *l.since {
				w.t.Fatalf("%s came back to %v, which was never given", l.name, *l.since)
			}
			for _, m := range e.Answer.Missed {
				w.get(l, m.Body)
			}
		case e.Lost != nil:
			for _, l := range w.all {
				if l.in {
					w.stand(l, e.Lost.At)
				}
			}
		case e.Pass.Kept:
			for _, l := range w.all {
				if l.in {
					w.get(l, e.Pass.Body)
				}
			}
		}
	}
}

// Promise 7: "between two positions that a client was given without lost or recovered:false in between, it got every
// message of the channel that was published and not transient, once, in order"; and in the end all are caught up.
func TestGateProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &model{t: t, p: Policy{rapid.IntRange(1, 8).Draw(t, "size"), 20 * time.Second}, now: time.Unix(1000, 0)}
		w.began = Position{w.now.UnixMilli(), 0}
		w.gate = NewGate[string, *listener](w.p)
		if rapid.Bool().Draw(t, "subscribed late") {
			w.gate.Broke()
		}
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			switch rapid.IntRange(0, 19).Draw(t, "step") {
			case 0:
				w.now = w.now.Add(rapid.SampledFrom([]time.Duration{time.Millisecond, 9 * time.Second}).Draw(t, "time"))
			case 1:
				w.broke()
			case 2:
				w.wipe()
			case 3:
				w.failover()
			case 4:
				w.gate.Forget()
			case 5, 6:
				w.join()
			case 7:
				w.leave()
			case 8:
				w.plain++
				w.topic = append(w.topic, &Message[string]{Body: fmt.Sprint("t", w.plain)})
			case 9, 10, 11, 12:
				w.publish()
			case 13, 14, 15, 16:
				w.deliver()
			default:
				w.step()
			}
			if err := w.gate.Check(); err != nil {
				t.Fatal(err)
			}
		}
		w.settle()
	})
}

// settle lets all happen that is under way; then everybody has all.
func (w *model) settle() {
	w.publish()
	for range 2*len(w.topic) + 100 {
		w.deliver()
		w.step()
	}
	for _, l := range w.all {
		if !l.in || l.at != len(w.log)-1 {
			w.t.Fatalf("in the end %s is in: %v, at %d of %d", l.name, l.in, l.at, len(w.log)-1)
		}
	}
}

// TestGateStories plays testdata/*.txt. The commands:
//
//	size 3                     what is kept
//	publish a 10-1 9           message a at 10-1 comes over the topic; the one before it had ms 9
//	transient t                one that is not kept comes
//	join c1 [10-1]             a client comes in
//	leave c1                   a listener goes · drop c1: one that waits
//	broke                      the subscription broke, and is back
//	needs                      what has to be read; the read begins
//	got 12-3 a=10-1,9 b=11-2   what was read: where the channel stands, and its messages
//	forget                     the ring gives its memory back
func TestGateStories(t *testing.T) {
	storytext.Run(t, "gate", func(t *testing.T) func([]string) string {
		s := &gateStory{t: t, now: time.Unix(0, 0)}
		s.gate = NewGate[string, string](Policy{3, time.Minute})
		return s.do
	})
}

type gateStory struct {
	t    *testing.T
	now  time.Time
	gate *Gate[string, string]
}

func (s *gateStory) position(text string) Position {
	p, ok := ParsePosition(text)
	if !ok {
		s.t.Fatalf("%q is no position", text)
	}
	return p
}

func (s *gateStory) message(body, at, prev string) Message[string] {
	ms, _ := strconv.ParseInt(prev, 10, 64)
	return Message[string]{At: s.position(at), Prev: ms, Until: s.now.Add(time.Minute), Size: 1, Body: body}
}

func (s *gateStory) do(words []string) string {
	var out []Effect[string, string]
	switch words[0] {
	case "publish":
		out = s.gate.Hear(s.message(words[1], words[2], words[3]))
	case "transient":
		out = s.gate.HearTransient(words[1], 1)
	case "join":
		w := Waiter[string]{Who: words[1]}
		if len(words) > 2 {
			p := s.position(words[2])
			w.Since = &p
		}
		out = s.gate.Join(w, s.now)
	case "leave":
		s.gate.Leave()
	case "drop":
		s.gate.Drop(func(who string) bool { return who == words[1] })
	case "broke":
		s.gate.Broke()
	case "forget":
		s.gate.Forget()
	case "needs":
		s.gate.Begin()
		return [...]string{"nothing", "position", "all"}[s.gate.Needs()] + "\n"
	case "got":
		h := Held[string]{What: ReadPosition, At: s.position(words[1])}
		for _, word := range words[2:] {
			h.What = ReadAll
			body, rest, _ := strings.Cut(word, "=")
			if at, prev, ok := strings.Cut(rest, ","); ok {
				h.Messages = append(h.Messages, s.message(body, at, prev))
			}
		}
		out = s.gate.Got(h, s.now)
	default:
		s.t.Fatalf("what is %q?", words[0])
	}
	if err := s.gate.Check(); err != nil {
		s.t.Error(err)
	}
	var text strings.Builder
	for _, e := range out {
		text.WriteString(tell(e))
	}
	return text.String()
}

// tell writes an effect as a line.
func tell(e Effect[string, string]) string {
	switch {
	case e.Lost != nil:
		return fmt.Sprintf("all lost some before what follows %v: %s\n", e.Lost.At, e.Lost.Why)
	case e.Pass != nil && e.Pass.Kept:
		return fmt.Sprintf("all get %s at %v\n", e.Pass.Body, e.Pass.At)
	case e.Pass != nil:
		return fmt.Sprintf("all get %s\n", e.Pass.Body)
	}
	a := e.Answer
	line := fmt.Sprintf("%s is in at %v", a.Who, a.At)
	if a.Since != nil {
		line += ", " + cmp.Or(string(a.Why), "recovered")
	}
	for _, m := range a.Missed {
		line += " " + m.Body
	}
	return line + "\n"
}
