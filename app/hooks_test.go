package app

import (
	"fmt"
	"strings"
	"testing"

	"rollcall/hooks"
)

const testSecret = `secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZg=="`

func loadHooks(t *testing.T, source string, env Env) ([]hooks.Hook, []error) {
	t.Helper()
	a, problems := Load(writeFiles(t, map[string]string{"config/hooks.lua": source}), LoadOptions{Env: env})
	if a == nil {
		return nil, problems
	}
	return a.Hooks(), problems
}

// SPEC 10: what a hook may have; "Without events: join and leave; without settle: 0"; "two in an array".
func TestHooks(t *testing.T) {
	all, problems := loadHooks(t, `
hook("crm", { channels = {"room:*", "@*"}, url = "https://example.com/h?x=1", secret = env("HOOK_SECRET"), settle = 3000,
  events = {"join", "leave", "update", "occupied", "vacated"} })
hook("audit", { channels = "*", stream = "audit" })
hook("both", { channels = "lobby", url = "http://127.0.0.1:9", secret = {env("HOOK_SECRET"), "0123456789abcdef"} })`,
		Env{"HOOK_SECRET": "the secret that is used"})
	if problems != nil {
		t.Fatal(problems)
	}
	for i, want := range []string{
		"crm [room:* @*] https://example.com/h?x=1 1  [join leave update occupied vacated] 3s",
		"audit [*]  0 audit [join leave] 0s", "both [lobby] http://127.0.0.1:9 2  [join leave] 0s",
	} {
		h := all[i]
		if got := fmt.Sprint(h.Name, " ", h.Channels, " ", h.URL, " ", len(h.Secrets), " ", h.Stream, " ", h.Events, " ",
			h.Settle); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	for _, tt := range []struct {
		channel string
		crm     bool
		audit   bool
	}{{"room:1", true, true}, {"rooms", false, true}, {"@ann", true, false}, {"lobby", false, true}} {
		if crm, audit := all[0].Matches(tt.channel), all[1].Matches(tt.channel); crm != tt.crm || audit != tt.audit {
			t.Errorf("%s: %v, %v", tt.channel, crm, audit)
		}
	}
}

// "At most 32 hooks; wrong ones are errors at start."
func TestWrongHooks(t *testing.T) {
	for line, want := range map[string]string{
		`hook()`:                               "the first argument must be a name",
		`hook("a b", {})`:                      "must be 1 to 64 letters",
		`hook("a")`:                            "takes a name and a table",
		`hook("a", {}, 1)`:                     "takes a name and a table",
		`hook("a", {})`:                        "channels is needed",
		`hook("a", {channels=1})`:              "channels: must be a string, not the number 1",
		`hook("a", {channels={}, stream="s"})`: "channels: must not be empty",
		`hook("a", {channels={"a*b"}, stream="s"})`:                      "channels: a * stands at the end alone",
		`hook("a", {channels={"a", "a"}, stream="s"})`:                   "channels: has one twice",
		`hook("a", {channels="a"})`:                                      "either url or stream is needed",
		`hook("a", {channels="a", url="https://a", stream="s"})`:         "either url or stream is needed",
		`hook("a", {channels="a", url="https://a"})`:                     "secret is needed with url",
		`hook("a", {channels="a", url="https://a", secret=env("NONE")})`: "secret is needed with url",
		`hook("a", {channels="a", url="https://a", secret="short"})`:     "secret: has 5 bytes",
		`hook("a", {channels="a", url="https://a", secret="whsec_?"})`:   "secret: what is behind whsec_",
		hook3: "may have 2 at most",
		`hook("a", {channels="a", url="ftp://a", ` + testSecret + `})`:                "url: must begin with https://",
		`hook("a", {channels="a", url="https://u:p@a", ` + testSecret + `})`:          "url: must not hold a user name",
		`hook("a", {channels="a", stream="s", ` + testSecret + `})`:                   "secret goes with url",
		`hook("a", {channels="a", stream="s", events={"joins"}})`:                     `did you mean "join"?`,
		`hook("a", {channels="a", stream="s", events={}})`:                            "events: must not be empty",
		`hook("a", {channels="a", stream="s", settle=-1})`:                            "settle: must be a whole number of ms from 0",
		`hook("a", {channels="a", stream="s", settel=1})`:                             `did you mean "settle"?`,
		`hook("a", {channels="a", stream="s"}) hook("a", {channels="b", stream="t"})`: "the same name is at config/hooks.lua:2",
		`for i = 1, 33 do hook("h" .. i, {channels="a", stream="s"}) end`:             "an app has 32 hooks at most",
	} {
		if _, problems := loadHooks(t, "\n"+line, nil); len(problems) != 1 ||
			!strings.Contains(problems[0].Error(), want) || !strings.HasPrefix(problems[0].Error(), "config/hooks.lua:2") {
			t.Errorf("%s: %v, want %q", line, problems, want)
		}
	}
}

// hook3 has three secrets.
const hook3 = `hook("a", {channels="a", url="https://a", secret={"0123456789abcdef", "0123456789abcdeg", "0123456789abcdeh"}})`
