package app

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rollcall/testkit"
)

func historyRoutes(source string) map[string]string {
	return map[string]string{"config/routes.lua": source}
}

// SPEC 7: "A name, or a prefix and `*`; the longest that fits counts. size 1 to 1,000, ttl 1 s to 7 days".
func TestHistoryRules(t *testing.T) {
	a, problems := Load(writeFiles(t, historyRoutes(`
history("room:*", { size = 100, ttl = 300 })
history("room:vip:*", { size = 1000, ttl = 604800 })
history("lobby", { size = 1, ttl = 1.5 })`)), LoadOptions{})
	if problems != nil {
		t.Fatal(problems)
	}
	for channel, want := range map[string]string{"room:1": "100 5m0s", "room:vip:1": "1000 168h0m0s", "lobby": "1 1.5s",
		"lobby:1": "", "@ann": ""} {
		got := ""
		if p, ok := a.History().For(channel); ok {
			got = fmt.Sprint(p.Size, " ", p.TTL)
		}
		if got != want {
			t.Errorf("%s has %q, want %q", channel, got, want)
		}
	}
	for line, want := range map[string]string{
		`history()`:                                "the first argument must be a channel",
		`history(7, {size = 1, ttl = 1})`:          "the first argument must be a channel",
		`history("a")`:                             "takes a pattern and a table",
		`history("a", 7)`:                          "takes a pattern and a table",
		`history("a", {size = 1, ttl = 1}, 1)`:     "takes a pattern and a table",
		`history("", {size = 1, ttl = 1})`:         "a pattern is a channel's name",
		`history("a*b", {size = 1, ttl = 1})`:      "a * stands at the end alone",
		`history("a\0", {size = 1, ttl = 1})`:      "a pattern is a channel's name",
		`history("a", {ttl = 1})`:                  "both size and ttl are needed",
		`history("a", {size = 1})`:                 "both size and ttl are needed",
		`history("a", {})`:                         "both size and ttl are needed",
		`history("a", {size = 0, ttl = 1})`:        "size must be a whole number from 1 to 1000, not the number 0",
		`history("a", {size = 1001, ttl = 1})`:     "size must be",
		`history("a", {size = 1.5, ttl = 1})`:      "size must be",
		`history("a", {size = "1", ttl = 1})`:      `size must be a whole number from 1 to 1000, not the string "1"`,
		`history("a", {size = 1, ttl = 0.9})`:      "ttl must be a number of seconds from 1 to 604800",
		`history("a", {size = 1, ttl = 604801})`:   "ttl must be",
		`history("a", {size = 1, ttl = 0/0})`:      "ttl must be",
		`history("a", {size = 1, ttl = "1"})`:      "ttl must be",
		`history("a", {size = 1, ttl = 1, x = 1})`: `unknown option the string "x" (known: size, ttl)`,
		`history("a", {1, 2})`:                     "unknown option the number 1",
	} {
		_, problems := Load(writeFiles(t, historyRoutes("\n"+line)), LoadOptions{})
		if len(problems) != 1 || !strings.Contains(problems[0].Error(), want) ||
			!strings.HasPrefix(problems[0].Error(), "config/routes.lua:2: history") {
			t.Errorf("%s: %v, want %q", line, problems, want)
		}
	}
	_, problems = Load(writeFiles(t, historyRoutes(`
history("a", {size = 1, ttl = 1})
history("a", {size = 2, ttl = 1})
history("b", {size = 0, ttl = 1})`)), LoadOptions{})
	if len(problems) != 2 || !strings.Contains(problems[0].Error(), "the same pattern is at config/routes.lua:2") {
		t.Errorf("all problems are %v", problems)
	}
}

// SPEC 7: "with base64url JSON {channel: position}, at most 64 channels and 4 KiB".
func FuzzResume(f *testing.F) {
	f.Add("eyJhIjoiMS0yIn0")
	f.Add("eyJhIjoiMS0yIn0==")
	f.Add("")
	f.Fuzz(func(t *testing.T, value string) {
		positions, err := readResume(value)
		if err == nil && (len(positions) > maxResumePositions || len(value) > maxResume) {
			t.Errorf("%d positions in %d bytes pass", len(positions), len(value))
		}
	})
}

func TestResumeBounds(t *testing.T) {
	encode := func(n, pad int) string {
		parts := make([]string, n)
		for i := range parts {
			parts[i] = fmt.Sprintf(`"channel %d":"1700000000000-%d"`, i, i)
		}
		return base64.RawURLEncoding.EncodeToString([]byte("{" + strings.Join(parts, ",") + strings.Repeat(" ", pad) + "}"))
	}
	if got, err := readResume(encode(64, 0)); err != nil || len(got) != 64 || got["channel 7"].Seq != 7 {
		t.Errorf("64 channels: %d, %v", len(got), err)
	}
	if _, err := readResume(encode(65, 0)); err == nil {
		t.Error("65 channels pass")
	}
	most := encode(1, 3041)
	if _, err := readResume(most); len(most) != maxResume || err != nil {
		t.Errorf("%d bytes: %v", len(most), err)
	}
	if _, err := readResume(encode(1, 3042)); err == nil {
		t.Error("more than 4 KiB pass")
	}
}

// A changed app has its own rules for who joins from then on.
func TestHistoryOfAChangedApp(t *testing.T) {
	files := map[string]string{"config/routes.lua": `router_websocket("/ws", "a#a")`,
		"handlers/a.lua": `function a(e) return { join = "room" } end`}
	n := startNode(t, files, nodeOptions{config: func(c *Config) { c.Dev = true; c.Reload = time.Millisecond }})
	if _, ok := n.server.App().History().For("room"); ok {
		t.Fatal("there is a history already")
	}
	check(t, os.WriteFile(filepath.Join(n.dir, "config/routes.lua"),
		[]byte(files["config/routes.lua"]+"\nhistory('room', {size = 5, ttl = 60})"), 0o600))
	testkit.Eventually(t, "the new rule is there",
		func() bool { _, ok := n.server.App().History().For("room"); return ok })
}
