package history

import (
	"fmt"
	"slices"
	"time"
)

// Position is one of SPEC 7. The zero Position is none.
type Position struct{ MS, Seq int64 }

func (p Position) String() string { return fmt.Sprintf("%d-%d", p.MS, p.Seq) }

// Follower is a client of channels with a history, over all its connections: it goes, comes back and says where it was.
type Follower struct {
	Name  string
	Steps []Step // At never falls
}

// Step is what a follower was told in one channel.
type Step struct {
	At      time.Duration
	Move    Move
	Channel string
	Position
	Text string // of Got
}

// Move is what a step did to where the follower stands.
type Move byte

// The moves.
const (
	Got    Move = iota // a message
	Begins             // it is told where it begins: it gave no position, or what it missed is lost
	GoesOn             // recovered: from the position that it gave
	Begun              // likewise, but it is not told where: a script
)

// Saying is one message that somebody published in a channel with a history. No two have one text.
type Saying struct {
	Channel, Text string
	Sent, Acked   time.Duration // Acked 0: it is not known whether it was published
}

// archive is what all followers together know of the messages.
type archive struct {
	at     map[string]map[Position]string // by channel: text
	of     map[string][]Position          // by text
	before map[string]map[Position]int64  // by channel: the MS of the message before one, as the first said who went on
	bySeq  map[string]map[int64][]Position
}

// recovery checks Promise 7: "between two positions that a client was given without lost or recovered:false in between,
// it got every message of the channel that was published and not transient, once, in order".
func (c *checker) recovery() {
	a := &archive{map[string]map[Position]string{}, map[string][]Position{}, map[string]map[Position]int64{},
		map[string]map[int64][]Position{}}
	for _, f := range c.rec.Followers {
		c.collect(a, f)
	}
	for _, f := range c.rec.Followers {
		at := map[string]Position{}
		for _, s := range f.Steps {
			was := at[s.Channel]
			at[s.Channel] = s.Position
			switch s.Move {
			case Got:
				c.verdict.Followed++
				if was != (Position{}) {
					c.next(a, f, s, was)
				}
			case GoesOn:
				c.verdict.Recovered++
				if was != s.Position {
					c.missed(f, s, "goes on from %v, and was at %v", s.Position, was)
				}
			case Begun:
				at[s.Channel] = Position{}
			}
		}
	}
	for _, s := range c.rec.Sayings {
		if s.Acked != 0 && len(a.of[s.Text]) == 0 {
			c.unseen(s)
		}
	}
}

func (c *checker) missed(f *Follower, s Step, format string, args ...any) {
	c.violate(Recovery, s.At, s.Channel, "", f.Name, format, args...)
}

// collect reads which message has which position.
func (c *checker) collect(a *archive, f *Follower) {
	for _, s := range f.Steps {
		if s.Move != Got {
			continue
		}
		if a.at[s.Channel] == nil {
			a.at[s.Channel], a.before[s.Channel], a.bySeq[s.Channel] = map[Position]string{}, map[Position]int64{},
				map[int64][]Position{}
		}
		text, known := a.at[s.Channel][s.Position]
		if known && text != s.Text {
			c.missed(f, s, "gets %s at %v, where others got %s", s.Text, s.Position, text)
		}
		if known {
			continue
		}
		a.at[s.Channel][s.Position] = s.Text
		a.bySeq[s.Channel][s.Seq] = append(a.bySeq[s.Channel][s.Seq], s.Position)
		if a.of[s.Text] = append(a.of[s.Text], s.Position); len(a.of[s.Text]) > 1 {
			c.missed(f, s, "gets %s at each of %v", s.Text, a.of[s.Text])
		}
	}
}

// next checks one message of a follower who stood at a position.
func (c *checker) next(a *archive, f *Follower, s Step, was Position) {
	switch before, known := a.before[s.Channel][s.Position]; {
	case s.MS < was.MS:
		c.missed(f, s, "gets %v after %v", s.Position, was)
	case s.Seq == was.Seq+1 && known && before != was.MS:
		c.missed(f, s, "goes on with %v after %v, but it follows %d-%d: it should have been told", s.Position, was, before,
			was.Seq)
	case s.Seq == was.Seq+1:
		a.before[s.Channel][s.Position] = was.MS
		for _, other := range a.bySeq[s.Channel][s.Seq] {
			if other.MS < s.MS && a.before[s.Channel][other] == was.MS && !c.forgot(other.MS, s.MS) {
				c.missed(f, s, "gets %v after %v, but not %v", s.Position, was, other)
			}
		}
	case s.Seq == 1 && c.lostAll(was.MS, s.MS): // a new counting, all of which came
		for p := range a.at[s.Channel] {
			if p.MS >= was.MS && p.MS < s.MS && p.Seq > was.Seq && !c.forgot(p.MS, s.MS) {
				c.missed(f, s, "gets %v after %v, but not %v", s.Position, was, p)
			}
		}
	default:
		c.missed(f, s, "gets %v after %v", s.Position, was)
	}
}

// slack is how far apart the clocks of the driver and of Redis may be, with what one step takes.
const slack = 100 // ms

// between tells whether a fault of some kind was between two times of Redis.
func (c *checker) between(from, to int64, is func(Fault) bool) bool {
	return slices.ContainsFunc(c.rec.Faults, func(f Fault) bool {
		return is(f) && c.wall(f.Began) <= to+slack && c.wall(f.Ended) >= from-slack
	})
}

// wall is a time of the record as unix time in ms.
func (c *checker) wall(at time.Duration) int64 { return c.rec.Began.Add(at).UnixMilli() }

// forgot tells whether Redis may have lost a message that it had acknowledged: the one exception of Promise 7.
func (c *checker) forgot(from, to int64) bool {
	return c.between(from, to, func(f Fault) bool { return Promises[f.Name].Forgets })
}

// lostAll tells whether a channel may have begun to count anew.
func (c *checker) lostAll(from, to int64) bool {
	return c.between(from, to, func(f Fault) bool { return Promises[f.Name].Wipes }) || c.forgot(from, to)
}

// unseen checks a message that was acknowledged and that nobody got: who was there before and after it was not told.
func (c *checker) unseen(said *Saying) {
	from, to := c.wall(said.Sent)-slack, c.wall(said.Acked)+slack
	if c.forgot(from, to) {
		return
	}
	for _, f := range c.rec.Followers {
		var was Position
		for _, s := range f.Steps {
			if s.Channel != said.Channel {
				continue
			}
			if s.Move == Got && was.MS != 0 && was.MS < from && s.MS > to {
				c.missed(f, s, "gets %v after %v, but not %s, which was acknowledged between", s.Position, was, said.Text)
				return
			}
			was = s.Position
		}
	}
}
