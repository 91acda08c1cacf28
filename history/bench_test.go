package history

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"rollcall/broker"
	"rollcall/redisconn"
	"rollcall/testkit"
	"rollcall/testkit/redistest"
)

// bench is one Redis for the conformance suite, under a prefix of its own, with all that the channel's topic says.
type bench struct {
	*testing.T
	redis  *redistest.Redis
	client *redisconn.Client
	topics *broker.Broker
	store  *Store
	topic  *testkit.Listener
}

const room = "room {1}%"

var (
	minute = Policy{5, time.Minute}
	second = Policy{5, time.Second}
)

func newBench(t *testing.T, r *redistest.Redis, prefix string) *bench {
	t.Helper()
	client, err := redisconn.Open(t.Context(), redisconn.Config{URL: r.URL(), Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	topics := broker.New(broker.Config{Redis: client})
	t.Cleanup(func() { topics.Close(); _ = client.Close() })
	b := &bench{T: t, redis: r, client: client, topics: topics, store: NewStore(client, client.Keys()),
		topic: testkit.NewListener()}
	topics.Attach(client.Keys().Topic(room), b.topic)
	b.topic.Ready()
	return b
}

// next is the next broadcast of the topic.
func (b *bench) next() Broadcast {
	b.Helper()
	select {
	case text := <-b.topic.Heard:
		got, ok := Decode(text)
		if !ok {
			b.Fatalf("%q was published", text)
		}
		return got
	case <-time.After(10 * time.Second):
		b.Fatal("nothing was published")
		panic("unreachable")
	}
}

func (b *bench) publish(p Policy, text string) Position {
	b.Helper()
	at, err := b.store.Publish(b.Context(), room, p, Broadcast{Text: text, Sender: "someone"})
	if err != nil {
		b.Fatal(err)
	}
	if got := b.next(); got.At != at || got.Text != text || got.Sender != "someone" || !got.Kept {
		b.Fatalf("%+v was published, want %q at %v", got, text, at)
	}
	return at
}

// page gives the texts of a query, or why it has none.
func (b *bench) page(p Policy, q Query) string {
	b.Helper()
	if q.Limit == 0 {
		q.Limit = 100
	}
	ms, _, err := b.store.Page(b.Context(), room, p, q)
	var missed MissedError
	if errors.As(err, &missed) {
		return string(missed.Why)
	}
	if err != nil {
		b.Fatal(err)
	}
	return texts(ms)
}

func texts(ms []Message[Broadcast]) string {
	var out []string
	for _, m := range ms {
		out = append(out, m.Body.Text)
	}
	return strings.Join(out, " ")
}

func (b *bench) at(p Policy) Position {
	b.Helper()
	h, err := b.store.Read(b.Context(), room, p, ReadPosition)
	if err != nil {
		b.Fatal(err)
	}
	return h.At
}

func (b *bench) do(args ...any) any {
	b.Helper()
	v, err := b.client.Do(b.Context(), args...)
	if err != nil {
		b.Fatal(err)
	}
	return v
}

// later waits until the clock of Redis has moved.
func (b *bench) later() {
	b.Helper()
	was := b.clock()
	if mini := b.redis.Mini(); mini != nil {
		mini.SetTime(time.UnixMilli(was + 1))
	}
	testkit.Eventually(b.T, "time passes", func() bool { return b.clock() > was })
}

func (b *bench) clock() int64 {
	b.Helper()
	v, _ := b.do("time").([]any)
	var sec, us int64
	if _, err := fmt.Sscan(fmt.Sprint(v[0], " ", v[1]), &sec, &us); err != nil {
		b.Fatal(err)
	}
	return sec*1000 + us/1000
}
