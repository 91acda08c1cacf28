package redisconn_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"rollcall/redisconn"
	"rollcall/testkit"
	"rollcall/testkit/redistest"
)

func open2(t *testing.T, cfg redisconn.Config) error {
	t.Helper()
	b, err := redisconn.Open(t.Context(), cfg)
	if err == nil {
		_ = b.Close()
	}
	return err
}

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
			log := new(testkit.Log)
			open(t, redisconn.Config{URL: redistest.Standalone(t, test.args...).URL(),
				Log: slog.New(slog.NewTextHandler(log, nil))})
			if warned := strings.Contains(log.String(), "may evict"); warned != test.warn {
				t.Errorf("warned %v, want %v: %s", warned, test.warn, log)
			}
		})
	}
}

// SPEC 3: "Bad configuration: ... one line that names the flag and the mend".
func TestBadConfig(t *testing.T) {
	for name, cfg := range map[string]redisconn.Config{
		"url":      {URL: "http://localhost"},
		"prefix":   {Prefix: "a{b}"},
		"batchers": {Batchers: -1},
	} {
		b, err := redisconn.Open(t.Context(), cfg)
		if err == nil {
			_ = b.Close()
			t.Fatalf("%s: no error", name)
		}
		if errors.Is(err, redisconn.ErrUnavailable) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
	server := redistest.Standalone(t, "--requirepass", "secret")
	if err := open2(t, redisconn.Config{URL: server.URL()}); err == nil || errors.Is(err, redisconn.ErrUnavailable) {
		t.Errorf("no password: %v, want Redis's own answer", err)
	}
	b := open(t, redisconn.Config{URL: strings.Replace(server.URL(), "redis://", "redis://:secret@", 1)})
	works(t, b)
}

func open(t testing.TB, cfg redisconn.Config) *redisconn.Client {
	t.Helper()
	c, err := redisconn.Open(t.Context(), cfg)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return c
}

// fast finds out about faults soon.
func fast(url string) redisconn.Config {
	return redisconn.Config{URL: url, WatchEvery: 100 * time.Millisecond, Timeout: time.Second}
}

// works fails the test unless the client can write and read.
func works(t *testing.T, c *redisconn.Client) {
	t.Helper()
	if _, err := c.Do(t.Context(), "set", "works", "yes"); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Do(t.Context(), "get", "works"); err != nil || got != "yes" {
		t.Fatalf("%v, %v", got, err)
	}
}
