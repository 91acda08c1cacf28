package auth

import (
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Issue: keys "from a flag or from a file that is reloaded".
func TestKeyringFollowsItsFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys")
	write := func(text string, at time.Time) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, at, at); err != nil {
			t.Fatal(err)
		}
	}
	start := time.Now()
	write("shop read one\n", start)
	synctest.Test(t, func(t *testing.T) {
		k, err := OpenKeyring(NewKey("fixed"), file, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer k.Close()
		may := func(key string) bool {
			_, ok := k.Keys().Find(http.Header{"X-Api-Key": {key}})
			return ok
		}
		look := func() { time.Sleep(lookEvery + time.Millisecond); synctest.Wait() }
		if !may("fixed") || !may("one") || may("two") {
			t.Error("the first keys are wrong")
		}
		write("shop read two\n", start.Add(time.Second))
		look()
		if !may("fixed") || may("one") || !may("two") {
			t.Error("the file was not read again")
		}
		write("shop fly three\n", start.Add(2*time.Second))
		look()
		if !may("two") || may("three") {
			t.Error("a wrong file changed the keys")
		}
		write("# none yet\n", start.Add(2500*time.Millisecond))
		look()
		if !may("fixed") || !may("two") {
			t.Error("a file without a key changed the keys")
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		look()
		if !may("two") {
			t.Error("a missing file changed the keys")
		}
		write("shop read four\n", start.Add(3*time.Second))
		look()
		if !may("four") || may("two") {
			t.Error("the mended file was not read")
		}
	})
}

func TestKeyringNeedsAKey(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("# none\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{empty: "holds no key", empty + "-missing": "no such file"} {
		if _, err := OpenKeyring(Keys{}, file, slog.New(slog.DiscardHandler)); err == nil ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", file, err)
		}
	}
	k, err := OpenKeyring(Keys{}, "", slog.New(slog.DiscardHandler))
	if err != nil || k.Keys().Configured() {
		t.Errorf("without a file: %v", err)
	}
	k.Close()
}
