package wsconn

import "time"

// longestCredit bounds the time for which a connection that was not read, because its handler or the whole
// node was held up, may catch up.
const longestCredit = time.Minute

// bucket is the token bucket of a connection's message rate. It is a pure value; now is the time since the
// server started.
//
// Tokens grow by rate per second up to the burst while the connection waits for the client. Time in which the
// server did not read (see credit) adds tokens beyond the burst, since what the client sent meanwhile comes at
// once; they are lost when the client then leaves the server waiting for a second.
type bucket struct {
	tokens float64
	at     time.Duration
	frozen time.Duration // outbox.Sockets.Frozen as far as it has been credited
}

// take takes one token; ok is false when there was none.
func (b bucket) take(now time.Duration, rate int) (next bucket, ok bool) {
	burst := float64(2 * rate)
	if now-b.at > time.Second {
		b.tokens = min(b.tokens, burst)
	}
	grown := min(burst, b.tokens+seconds(now-b.at)*float64(rate))
	b.tokens, b.at = max(b.tokens, grown), now
	if b.tokens < 1 {
		return b, false
	}
	b.tokens--
	return b, true
}

// credit returns the bucket after the server spent the time until now, from held on, without reading.
func (b bucket) credit(now, held time.Duration, rate int) bucket {
	most := float64(2*rate) + seconds(longestCredit)*float64(rate)
	b.tokens = min(most, b.tokens+seconds(held)*float64(rate))
	b.at = now
	return b
}

// thawed gives an empty bucket what it has missed while the process did not run, for frozen since it began. asleep: it
// has run again only since a moment ago, and that does not count in frozen yet.
func (b bucket) thawed(now, frozen time.Duration, asleep bool, rate int) (next bucket, ok bool) {
	if frozen <= b.frozen {
		return b, asleep
	}
	b = b.credit(now, frozen-b.frozen, rate)
	b.frozen = frozen
	return b.take(now, rate)
}

func seconds(d time.Duration) float64 { return float64(d) / float64(time.Second) }
