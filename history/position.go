package history

import (
	"strconv"
	"strings"
)

// Position is where a message stands in its channel, or where the channel stands: `<ms>-<seq>` (SPEC 7). Redis gives
// it. Seq rises by one from message to message and MS never falls. Seq 0 is a channel without messages, and MS then is
// when its counting began.
type Position struct {
	MS  int64 // unix time of Redis
	Seq int64
}

// Never is a position that no message was given: what stands for text that is none.
var Never = Position{Seq: 1<<63 - 1}

// maxDigits is how long each number of a position is at most; Lua in Redis counts exactly so far.
const maxDigits = 14

// ParsePosition reads what String wrote, and nothing else.
func ParsePosition(text string) (p Position, ok bool) {
	ms, seq, found := strings.Cut(text, "-")
	if !found {
		return Position{}, false
	}
	var okMS, okSeq bool
	p.MS, okMS = parseNumber(ms)
	p.Seq, okSeq = parseNumber(seq)
	if !okMS || !okSeq {
		return Position{}, false
	}
	return p, true
}

func parseNumber(text string) (n int64, ok bool) {
	if text == "" || len(text) > maxDigits || len(text) > 1 && text[0] == '0' {
		return 0, false
	}
	for _, c := range []byte(text) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int64(c-'0')
	}
	return n, true
}

func (p Position) String() string { return string(p.Append(nil)) }

// Append writes the position behind b.
func (p Position) Append(b []byte) []byte {
	b = strconv.AppendInt(b, p.MS, 10)
	b = append(b, '-')
	return strconv.AppendInt(b, p.Seq, 10)
}
