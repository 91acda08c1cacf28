package integration_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/testkit"
	"rollcall/testkit/nodetest"
	"rollcall/testkit/tokentest"
)

// signed is a good token by a key of a JWKS.
func signed(i *tokentest.Issuer, alg, kid string) string {
	return i.Sign(alg, tokentest.Claims{"kid": kid}, tokentest.Good("ann", time.Hour, nil))
}

// asked is the answer to a token, and how long it took.
func asked(t *testing.T, n *nodetest.Node, token string) (status int, body string, took time.Duration) {
	t.Helper()
	began := time.Now()
	status, body, _ = upgrade(t, n.Addr(), "/ws/private", tokentest.Bearer(token))
	return status, body, time.Since(began)
}

// soonest is how long after one fetch tokens with an unknown key can bring about the next (docs/auth.md).
const soonest = 10 * time.Second

// Keys rotate while clients connect: nobody who has a token by a published key is refused, but for soonest after a
// fetch that others brought about.
func TestJWKSRotation(t *testing.T) {
	t.Parallel()
	first, second, third := tokentest.NewIssuer(t), tokentest.NewIssuer(t), tokentest.NewIssuer(t)
	j := tokentest.NewJWKS(t, first.JWK("RS256", "1", nil))
	n := nodetest.Start(t, nodetest.Options{App: private, Flags: []string{"--jwks-url", j.URL}})
	started := time.Now()

	var mu sync.Mutex
	token := signed(first, "RS256", "1")
	current := func() string {
		mu.Lock()
		defer mu.Unlock()
		return token
	}
	change := func(to string) {
		mu.Lock()
		defer mu.Unlock()
		token = to
	}
	// Clients that connect all the time, each with the newest token there is.
	type refusal struct {
		token string
		at    time.Time
		body  string
	}
	var refusals []refusal
	stop := make(chan struct{})
	var clients sync.WaitGroup
	defer clients.Wait()
	end := sync.OnceFunc(func() { close(stop) })
	defer end()
	for range 3 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(20 * time.Millisecond):
				}
				mine := current()
				status, body, _ := nodetest.Request(t.Context(), http.MethodGet, n.Addr(), "/private", "", tokentest.Bearer(mine))
				if status != http.StatusOK {
					mu.Lock()
					refusals = append(refusals, refusal{mine, time.Now(), body})
					mu.Unlock()
				}
			}
		})
	}
	refused := func(token string) (all []refusal) {
		mu.Lock()
		defer mu.Unlock()
		for _, r := range refusals {
			if r.token == token {
				all = append(all, r)
			}
		}
		return all
	}
	waitFor := func(at time.Time) {
		testkit.Within(t, "time to pass", time.Minute, func() bool { return time.Now().After(at) })
	}

	// The second key is published and used in the same moment, long enough after the first fetch: nobody is refused.
	waitFor(started.Add(soonest + time.Second))
	old := current()
	j.Set(first.JWK("RS256", "1", nil), second.JWK("ES256", "2", nil))
	change(signed(second, "ES256", "2"))
	published := time.Now()
	testkit.Within(t, "the second key counts", 5*time.Second,
		func() bool { status, _, _ := asked(t, n, current()); return status == 101 })
	if status, body, _ := asked(t, n, old); status != 101 {
		t.Errorf("a key that is still published: %d %s", status, body)
	}
	if all := refused(current()); len(all) > 0 {
		t.Errorf("%d refused with the second key, the first one with %s", len(all), all[0].body)
	}

	// The third comes at once, and alone: it may be refused until soonest after the fetch before, and no longer.
	afterSecond := current()
	j.Set(third.JWK("EdDSA", "3", nil))
	change(signed(third, "EdDSA", "3"))
	testkit.Within(t, "the third key counts", soonest+3*time.Second,
		func() bool { status, _, _ := asked(t, n, current()); return status == 101 })
	for _, r := range refused(current()) {
		if late := r.at.Sub(published); late > soonest+2*time.Second {
			t.Errorf("refused %v after the second key was published: %s", late, r.body)
		}
	}
	// What is not published any more is refused as soon as the keys were fetched.
	for name, gone := range map[string]string{"first": old, "second": afterSecond} {
		if status, body, _ := asked(t, n, gone); status != 401 ||
			!strings.Contains(body, "no configured key can check the token") {
			t.Errorf("a token by the %s key: %d %s", name, status, body)
		}
	}
	end()
	clients.Wait()
	if all := refused(old); len(all) > 0 {
		t.Errorf("%d refused with the first key while it was the newest: %s", len(all), all[0].body)
	}
	if fetches := j.Fetches(); fetches > 4 {
		t.Errorf("the keys were fetched %d times", fetches)
	}
}

// The server of the keys goes down: the keys that are known go on, and unknown ones are refused quickly.
func TestJWKSDown(t *testing.T) {
	t.Parallel()
	first, second := tokentest.NewIssuer(t), tokentest.NewIssuer(t)
	j := tokentest.NewJWKS(t, first.JWK("RS256", "1", nil))
	n := nodetest.Start(t, nodetest.Options{App: private,
		Flags: []string{"--jwks-url", j.URL, "--jwt-secret", string(second.Secret)}})
	unknown := signed(second, "ES256", "2")
	known := func(what string) {
		t.Helper()
		for _, token := range []string{signed(first, "RS256", "1"), signed(second, "HS256", "any")} {
			if status, body, took := asked(t, n, token); status != 101 || took > 2500*time.Millisecond {
				t.Errorf("%s: a token by a known key: %d %s after %v", what, status, body, took)
			}
		}
	}
	refused := func(what string) {
		t.Helper()
		if status, body, took := asked(t, n, unknown); status != 401 || took > 4500*time.Millisecond {
			t.Errorf("%s: a token by an unknown key: %d %s after %v", what, status, body, took)
		}
	}
	known("at first")
	connected := nodetest.Dial(t, n.Addr(), "/ws/private", tokentest.Bearer(signed(first, "RS256", "1")))
	connected.Expect("ann")
	began := time.Now()
	testkit.Within(t, "that a fetch may be asked for", soonest+5*time.Second,
		func() bool { return time.Since(began) > soonest })

	release := j.Hang()
	defer release()
	refused("an answer that does not come") // waits for it, a little
	known("an answer that does not come")
	j.Down()
	release()
	n.Log.Await(t, "that the keys were not fetched", func(l nodetest.Line) bool {
		return l.Is("JWKS not fetched, the keys of before go on working")
	})
	refused("a server that is down")
	known("a server that is down")
	j.Answer(http.StatusInternalServerError, "no")
	j.Up()
	n.Log.Await(t, "that the answer was no key set", func(l nodetest.Line) bool {
		return strings.HasPrefix(l.Text("msg"), "JWKS not fetched") && strings.Contains(l.Text("error"), "status 500")
	})
	refused("an error")
	known("an error")
	j.Answer(http.StatusOK, `{"keys":[]}`)
	n.Log.Await(t, "that the key set was empty", func(l nodetest.Line) bool {
		return strings.HasPrefix(l.Text("msg"), "JWKS not fetched") && strings.Contains(l.Text("error"), "none of its 0 keys")
	})
	known("an empty key set")
	j.Set(second.JWK("ES256", "2", nil))
	testkit.Within(t, "the new key counts", 30*time.Second,
		func() bool { status, _, _ := asked(t, n, unknown); return status == 101 })
	connected.Send("still here?")
	connected.Expect("ann") // its key is gone, it stays
}

// A node starts while the server of the keys is down, and takes its tokens once it is up.
func TestJWKSDownAtStart(t *testing.T) {
	t.Parallel()
	issuer := tokentest.NewIssuer(t)
	j := tokentest.NewJWKS(t, issuer.JWK("EdDSA", "1", nil))
	j.Down()
	began := time.Now()
	n := nodetest.Start(t, nodetest.Options{App: private, Flags: []string{"--jwks-url", j.URL}})
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("ready after %v", took)
	}
	n.Log.Await(t, "that the keys were not fetched", func(l nodetest.Line) bool {
		return l.Is("JWKS not fetched, its tokens are refused until it is")
	})
	token := signed(issuer, "EdDSA", "1")
	status, body, took := asked(t, n, token)
	if status != 401 || !strings.Contains(body, "the token cannot be checked at the moment") || took > 4*time.Second {
		t.Errorf("before: %d %s after %v", status, body, took)
	}
	j.Up()
	testkit.Within(t, "the key counts", 15*time.Second,
		func() bool { status, _, _ := asked(t, n, token); return status == 101 })
	if lines := fmt.Sprint(n.Log.Lines()); strings.Contains(lines, token) {
		t.Error("the log holds the token")
	}
}
