package egress

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// closed → open → half-open → open → half-open → closed, in virtual time.
func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b breakers
		ask := func(how error) bool {
			done, err := b.allow("http://a:80")
			if err != nil {
				return false
			}
			done(how)
			return true
		}
		for range tripAfter - 1 {
			ask(errNoAnswer)
		}
		ask(nil) // an answer: it counts from the beginning
		for i := range tripAfter {
			if !ask(errNoAnswer) {
				t.Fatalf("open after %d", i)
			}
			ask(errGivenUp) // counts for nothing
		}
		if ask(nil) || b.open() != 1 {
			t.Fatal("not open")
		}
		if _, err := b.allow("http://b:80"); err != nil {
			t.Fatal("another host's breaker is open")
		}
		time.Sleep(openFor + 1)
		probe, err := b.allow("http://a:80")
		if err != nil || ask(nil) || b.open() != 0 {
			t.Fatal("half-open: one may try, and no other", err)
		}
		probe(errNoAnswer)
		if ask(nil) || b.open() != 1 {
			t.Fatal("not open again")
		}
		time.Sleep(openFor + 1)
		if !ask(errGivenUp) || !ask(nil) || !ask(nil) {
			t.Fatal("not closed again")
		}
	})
}

func TestBreakersAreBounded(t *testing.T) {
	var b breakers
	for i := range 2 * maxHosts {
		if _, err := b.allow(fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
		_, _ = b.allow("busy")
	}
	if len(b.hosts) != maxHosts || b.used.Len() != maxHosts || b.hosts["busy"] == nil || b.hosts["0"] != nil {
		t.Errorf("%d hosts, %d in line", len(b.hosts), b.used.Len())
	}
}

// A server that does not answer is left alone; one that answers 500 is not.
func TestBreakerOfAClient(t *testing.T) {
	gone := startBackEnd(t, Config{}, nil)
	gone.Close()
	for range tripAfter {
		contains(t, gone.get("/"), "unreachable: no connection: connection refused")
	}
	contains(t, gone.get("/"), "breaker: "+gone.URL+" did not answer 10 times in a row")
}
