package simulation

import (
	"fmt"
	"hash"
	"hash/fnv"
	"time"
)

// kept is how many lines of a story are kept.
const kept = 50

// story is what happened, line by line: a hash of all of it, and the last lines for people.
type story struct {
	begin time.Time
	sum   hash.Hash64
	lines int
	last  [kept]string
	buf   []byte
	names map[string]string // epochs by the order in which they came up
}

func newStory() *story {
	return &story{begin: time.Now(), sum: fnv.New64a(), names: map[string]string{}}
}

func (s *story) add(format string, args ...any) {
	at := time.Since(s.begin)
	s.buf = fmt.Appendf(s.buf[:0], "%3d.%06d  ", at/time.Second, at%time.Second/time.Microsecond)
	s.buf = fmt.Appendf(s.buf, format, args...)
	_, _ = s.sum.Write(s.buf) // never an error
	s.last[s.lines%kept] = string(s.buf)
	s.lines++
}

// tail gives the last lines, oldest first.
func (s *story) tail() []string {
	var out []string
	for i := max(0, s.lines-kept); i < s.lines; i++ {
		out = append(out, s.last[i%kept])
	}
	return out
}

// epoch gives an epoch, which is drawn at random, a name that is the same in each replay.
func (s *story) epoch(e string) string {
	if e == "" {
		return "-"
	}
	if s.names[e] == "" {
		s.names[e] = fmt.Sprintf("e%d", len(s.names)+1)
	}
	return s.names[e]
}
