package broker_test

import (
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/broker"
	"rollcall/integration_test/redistest"
)

// slow is a receiver whose call lasts as long as the test wants.
type slow struct {
	entered chan string
	release chan struct{}
}

func (s *slow) Receive(payload string) {
	s.entered <- payload
	<-s.release
}
func (s *slow) Resubscribed() {}

// "Unsubscribe: after it returns r.Receive is not called again".
func TestUnsubscribeWaitsForTheCall(t *testing.T) {
	server := redistest.Mini(t)
	b := open(t, broker.Config{URL: server.URL(), Receivers: 1})
	s := &slow{entered: make(chan string, 10), release: make(chan struct{})}
	if err := b.Subscribe(t.Context(), "topic", s); err != nil {
		t.Fatal(err)
	}
	other := subscribed(t, b, "other")
	publish(t, b, "topic", "one")
	publish(t, b, "topic", "two")
	<-s.entered
	b.Unsubscribe("other", other) // does not wait: another topic's call is running
	done := make(chan struct{})
	go func() {
		b.Unsubscribe("topic", s)
		close(done)
	}()
	select {
	case <-done:
		t.Fatal("Unsubscribe returned during a call")
	case <-time.After(50 * time.Millisecond):
	}
	close(s.release)
	<-done
	last := subscribed(t, b, "last")
	publish(t, b, "last", "end")
	last.want(t, "end")
	if len(s.entered) != 0 {
		t.Fatalf("called with %q after Unsubscribe", <-s.entered)
	}
}

// Close ends every wait. TestMain sees whether a goroutine is left.
func TestClose(t *testing.T) {
	server := redistest.Standalone(t)
	proxy := redistest.NewProxy(t, server.Addr())
	b, err := broker.Open(t.Context(), broker.Config{URL: proxy.URL(), WatchEvery: time.Hour, Timeout: time.Second, Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	proxy.Hold()
	var all sync.WaitGroup
	expect := func(name string, err error) {
		if !errors.Is(err, broker.ErrUnavailable) {
			t.Errorf("%s: %v, want ErrUnavailable", name, err)
		}
	}
	for range 10 {
		all.Go(func() { _, err := b.Do(t.Context(), "incr", "n"); expect("do", err) })
		all.Go(func() { expect("subscribe", b.Subscribe(t.Context(), "topic", newRecorder())) })
	}
	submitted := make(chan error, 1)
	time.Sleep(20 * time.Millisecond)
	if err := b.Submit(redis.NewCmd(t.Context(), "incr", "n"), func(err error) { submitted <- err }); err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond)
	began := time.Now()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("Close took %v", took)
	}
	all.Wait()
	expect("submit", <-submitted)
	if err := b.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	for name, err := range map[string]error{
		"do":        second(b.Do(t.Context(), "get", "k")),
		"publish":   b.Publish(t.Context(), "topic", nil),
		"subscribe": b.Subscribe(t.Context(), "topic", newRecorder()),
		"batch":     b.Batch(t.Context(), []redis.Cmder{redis.NewStringCmd(t.Context(), "get", "k")}),
		"submit":    b.Submit(redis.NewCmd(t.Context(), "get", "k"), func(error) { t.Error("done called") }),
	} {
		if !errors.Is(err, broker.ErrClosed) || !errors.Is(err, broker.ErrUnavailable) || errors.Is(err, broker.ErrUnknown) {
			t.Errorf("%s after Close: %v, want ErrClosed", name, err)
		}
	}
	b.Unsubscribe("topic", newRecorder())
}

func second(_ any, err error) error { return err }

// DESIGN 4: "Redis must not evict: warn at start where it may".
func TestWarnsOfEviction(t *testing.T) {
	for _, test := range []struct {
		name string
		args []string
		warn bool
	}{
		{"no limit", nil, false},
		{"noeviction", []string{"--maxmemory", "100mb", "--maxmemory-policy", "noeviction"}, false},
		{"lru", []string{"--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"}, true},
		{"volatile", []string{"--maxmemory", "100mb", "--maxmemory-policy", "volatile-ttl"}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			log := new(logBuffer)
			open(t, broker.Config{URL: redistest.Standalone(t, test.args...).URL(), Log: slog.New(slog.NewTextHandler(log, nil))})
			if warned := strings.Contains(log.String(), "may evict"); warned != test.warn {
				t.Errorf("warned %v, want %v: %s", warned, test.warn, log)
			}
		})
	}
}

// SPEC 3: "Bad configuration: ... one line that names the flag and the mend".
func TestBadConfig(t *testing.T) {
	for name, cfg := range map[string]broker.Config{
		"url":     {URL: "http://localhost"},
		"prefix":  {Prefix: "a{b}"},
		"workers": {Workers: -1},
	} {
		b, err := broker.Open(t.Context(), cfg)
		if err == nil {
			_ = b.Close()
			t.Fatalf("%s: no error", name)
		}
		if errors.Is(err, broker.ErrUnavailable) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
	server := redistest.Standalone(t, "--requirepass", "secret")
	if err := open2(t, broker.Config{URL: server.URL()}); err == nil || errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("no password: %v, want Redis's own answer", err)
	}
	b := open(t, broker.Config{URL: strings.Replace(server.URL(), "redis://", "redis://:secret@", 1)})
	r := subscribed(t, b, "topic")
	publish(t, b, "topic", "hello")
	r.want(t, "hello")
}
