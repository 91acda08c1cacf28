package main

import (
	"context"
	"log/slog"
	"runtime"
	"testing"
	"time"

	"rollcall/luavm"
)

// A node that needs few cores uses few, and has all of them again when they are missing.
func TestCores(t *testing.T) {
	type step struct {
		name string
		span time.Duration
		load float64 // cores at work
		late float64 // share of goroutines that wait for more than lateAfter
		want int
		hold time.Duration // if not 0: how long cores are held by then
	}
	for _, tt := range []struct {
		name  string
		most  int
		steps []step
	}{
		{"little to do", 2, []step{
			{name: "not yet", span: 900 * time.Millisecond, load: 0.1, want: 2},
			{name: "a second", span: 200 * time.Millisecond, load: 0.1, want: 1},
			{name: "it stays so", span: time.Minute, load: 0.4, want: 1},
		}},
		{"half a core is enough to keep two, and too little to be given two", 2, []step{
			{name: "two", span: 10 * time.Second, load: 0.6, want: 2},
			{name: "less", span: 2 * time.Second, load: 0.4, want: 1},
			{name: "one", span: time.Minute, load: 0.8, want: 1},
		}},
		{"many cores", 32, []step{
			{name: "four at work", span: 2 * time.Second, load: 3.8, want: 8},
			{name: "one at work", span: 2 * time.Second, load: 0.9, want: 2},
			{name: "more", span: 100 * time.Millisecond, load: 1.9, want: 32},
		}},
		{"a crowd comes", 2, []step{
			{name: "idle", span: time.Minute, load: 0.01, want: 1},
			{name: "at once", span: 50 * time.Millisecond, load: 1, want: 2, hold: holdLeast},
			{name: "and for a while", span: 5 * time.Second, load: 1.8, want: 2},
			{name: "it sits", span: 3 * time.Second, load: 0.1, want: 1},
		}},
		{"cores that are missing soon are kept longer", 2, []step{
			{name: "taken back", span: 1100 * time.Millisecond, load: 0.3, want: 1},
			{name: "missing", span: 50 * time.Millisecond, load: 1, want: 2, hold: 2 * time.Second},
			{name: "kept", span: 1500 * time.Millisecond, load: 0.3, want: 2},
			{name: "taken back again", span: 1500 * time.Millisecond, load: 0.3, want: 1},
			{name: "missing again", span: 50 * time.Millisecond, load: 1, want: 2, hold: 4 * time.Second},
			{name: "kept longer", span: 3500 * time.Millisecond, load: 0.3, want: 2},
			{name: "taken back for good", span: 20 * time.Second, load: 0.3, want: 1},
			{name: "missing after long", span: 50 * time.Millisecond, load: 1, want: 2, hold: holdLeast},
		}},
		{"goroutines wait for a core", 2, []step{
			{name: "a few do", span: 5 * time.Second, load: 0.3, late: 0.008, want: 1},
			{name: "many do", span: 1100 * time.Millisecond, load: 0.3, late: 0.02, want: 2},
		}},
		{"one core", 1, []step{{name: "busy", span: 5 * time.Second, load: 1, late: 1, want: 1}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var l load
			c := newCores(tt.most, l)
			for _, s := range tt.steps {
				for end := l.at + s.span; l.at < end; {
					d := min(c.every(), end-l.at)
					l.at += d
					l.used += time.Duration(s.load * float64(d))
					n := float64(d) / float64(time.Millisecond)
					l.waits += uint64(n)
					l.late += uint64(n * s.late)
					if c = c.next(l); c.n < 1 || c.n > c.most {
						t.Fatalf("%s: %d cores of %d", s.name, c.n, c.most)
					}
				}
				if c.n != s.want || s.hold != 0 && c.hold != s.hold {
					t.Errorf("%s: %d cores, held for %v; want %d, %v", s.name, c.n, c.hold, s.want, s.hold)
				}
			}
		})
	}
}

// The time that a busy goroutine takes is seen, and the time that one waits for a core.
func TestLoad(t *testing.T) {
	if _, ok := timeUsed(); !ok {
		t.Skip("this system does not tell how much time a process takes")
	}
	read := loadReader()
	before := read()
	for end := time.Now().Add(10 * time.Second); ; {
		done := make(chan struct{}) // of goroutines that take turns: each of them waits for a core
		for range 64 {
			go func() {
				for t := time.Now(); time.Since(t) < time.Millisecond; {
				}
				done <- struct{}{}
			}()
		}
		for range 64 {
			<-done
		}
		l := read().since(before)
		if l.cores() > 0.5 && l.waits > 64 && l.late > 0 && l.late < l.waits {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%v cores at work, %+v", l.cores(), l)
		}
	}
}

// A node at rest takes its cores back, VMs with them, and leaves them as it found them.
func TestAdaptCores(t *testing.T) {
	if _, ok := timeUsed(); !ok {
		t.Skip("this system does not tell how much time a process takes")
	}
	t.Setenv("GOMAXPROCS", "")
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	runtime.SetDefaultGOMAXPROCS()
	most := runtime.GOMAXPROCS(0)
	if most == 1 {
		t.Skip("one core")
	}
	gate := luavm.NewGate(most)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		adaptCores(ctx, gate, slog.New(slog.DiscardHandler))
	}()
	for end := time.Now().Add(20 * time.Second); runtime.GOMAXPROCS(0) == most && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
	}
	if n := runtime.GOMAXPROCS(0); n >= most {
		t.Errorf("at rest: %d cores of %d", n, most)
	}
	cancel()
	<-done
	if n := runtime.GOMAXPROCS(0); n != most {
		t.Errorf("%d cores are left, of %d", n, most)
	}
	t.Setenv("GOMAXPROCS", "2")
	adaptCores(context.Background(), gate, slog.New(slog.DiscardHandler)) // returns
}
