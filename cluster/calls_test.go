package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/redisconn"
	"rollcall/testkit"
)

func TestSend(t *testing.T) {
	r, _ := mini(t)
	a, b := newMember(t, r.URL(), testTTL), newMember(t, r.URL(), testTTL)
	testkit.Eventually(t, "both hear", func() bool { return a.Ready() == nil && b.Ready() == nil })
	for i := range 20 {
		for _, to := range []*member{a, b} {
			if err := a.Send(t.Context(), to.Process(), "kind", "body "+strconv.Itoa(i)+" with  spaces"); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, m := range []*member{a, b} {
		testkit.Eventually(t, "all came",
			func() bool { return m.get(func() string { return strconv.Itoa(len(m.heard)) }) == "20" })
		for i, line := range m.heard {
			if want := fmt.Sprintf("kind body %d with  spaces", i); line != want {
				t.Errorf("message %d is %q", i, line)
			}
		}
	}
	if err := a.Send(t.Context(), "ffffffffffff", "kind", ""); err != nil {
		t.Errorf("send to nobody: %v", err)
	}
	r.Kill()
	if err := a.Send(t.Context(), a.Process(), "kind", "near"); err != nil { // needs no Redis
		t.Errorf("send to itself: %v", err)
	}
	if err := a.Send(t.Context(), b.Process(), "kind", "far"); !errors.Is(err, redisconn.ErrUnavailable) {
		t.Errorf("send without Redis: %v", err)
	}
}

// SPEC 1.3: cluster-wide lists; a node that does not answer is named, not waited for.
func TestAsk(t *testing.T) {
	r, _ := mini(t)
	a, b, c := newMember(t, r.URL(), testTTL), newMember(t, r.URL(), testTTL), newMember(t, r.URL(), testTTL)
	for _, m := range []*member{a, b, c} {
		testkit.Eventually(t, "all see all", func() bool { return len(m.Nodes()) == 3 && m.Ready() == nil })
	}
	got, silent, err := a.Ask(t.Context(), "what", "is  it")
	if err != nil || len(silent) != 0 || len(got) != 3 {
		t.Fatalf("got %v, silent %v, %v", got, silent, err)
	}
	for _, m := range []*member{a, b, c} {
		if got[m.Process()] != "what is  it of "+m.Process() {
			t.Errorf("%s answers %q", m.Process(), got[m.Process()])
		}
	}
	b.mu.Lock()
	b.answer = func(ctx context.Context, _, _ string) (string, error) { <-ctx.Done(); return "", ctx.Err() }
	b.mu.Unlock()
	c.mu.Lock()
	c.answer = func(context.Context, string, string) (string, error) { return "", errors.New("no") }
	c.mu.Unlock()
	got, silent, err = a.Ask(t.Context(), "what", "")
	slices.Sort(silent)
	want := []string{b.Process(), c.Process()}
	slices.Sort(want)
	if err != nil || len(got) != 1 || !slices.Equal(silent, want) {
		t.Errorf("got %v, silent %v, %v; want silent %v", got, silent, err, want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := a.Ask(ctx, "what", ""); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	r.Kill()
	if _, _, err := a.Ask(t.Context(), "what", ""); !errors.Is(err, redisconn.ErrUnavailable) {
		t.Errorf("without Redis: %v", err)
	}
}

// A node that has started since the last heartbeat is asked too, and each is asked once, also when two of its
// incarnations are in the registry. Issue: "Cluster-wide reads … answer within 1 s and name the nodes that did not
// answer": also when there are many of them.
func TestAskIsOfTheRegistryAsItIs(t *testing.T) {
	r, _ := mini(t)
	a := newMember(t, r.URL(), testTTL)
	score, err := r.Client().ZScore(t.Context(), a.keys.Nodes(), a.inc()).Result()
	if err != nil {
		t.Fatal(err)
	}
	const others = 300
	want := []string{}
	for i := range others {
		process := fmt.Sprintf("%012x", i)
		want = append(want, process)
		for _, inc := range []string{process + "-1", process + "-2"} {
			if err := r.Client().ZAdd(t.Context(), a.keys.Nodes(), redis.Z{Score: score + 1e6, Member: inc}).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	began := time.Now()
	got, silent, err := a.Ask(t.Context(), "what", "")
	took := time.Since(began)
	slices.Sort(silent)
	if err != nil || len(got) != 1 || !slices.Equal(silent, want) {
		t.Errorf("%d answered, %d of %d are silent, %v", len(got), len(silent), others, err)
	}
	if took < askWait-10*time.Millisecond || took > askWait+100*time.Millisecond {
		t.Errorf("it took %v", took)
	}
}

// What comes over a node's topic is not believed.
func TestDamagedMessages(t *testing.T) {
	r, _ := mini(t)
	m := newMember(t, r.URL(), testTTL)
	for _, text := range []string{"", " ", "q", "q 1", "q 1 p", "q 1 p kind", "a", "a 99", "a 99 p body", "x y z", "o"} {
		m.calls.Receive(text)
	}
	if got := m.get(func() string { return strings.Join(m.heard, "|") }); got != " " {
		t.Errorf("heard %q", got)
	}
}
