package app

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/overload"
	"rollcall/testkit"
)

func TestLineRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out logBuffer
		began := time.Now()
		l := &lines{log: slog.New(slog.NewTextHandler(&out, nil)),
			now: func() time.Duration { return time.Since(began) + time.Hour }}
		defer l.close()
		sources := make([]overload.Limiter, 20)
		write := func(n int) (written []int) {
			for i := range sources {
				written = append(written, 0)
				for range n {
					if l.allow(&sources[i]) {
						written[i]++
					}
				}
			}
			return written
		}
		for round := range int64(2) {
			written := write(150)
			if written[0] != linesOfOne.Burst || written[9] != linesOfOne.Burst || written[10] != 0 {
				t.Fatalf("written: %v; want 100 of each connection, 1,000 in all", written)
			}
			if got := l.count(); got != (round+1)*2000 {
				t.Fatalf("%d were dropped", got)
			}
			time.Sleep(tellDropped)
			synctest.Wait()
			if told := strings.Count(out.String(), droppedLines+`" lines=2000`); int64(told) != round+1 {
				t.Fatalf("told %d times:\n%s", told, out.String())
			}
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if told := strings.Count(out.String(), droppedLines); told != 2 {
			t.Fatalf("told %d times:\n%s", told, out.String())
		}
	})
}

// Whatever handlers have written to the log is bounded: what they log, what they print, their errors, and what their
// returns do in vain.
func TestLogIsBounded(t *testing.T) {
	for name, tt := range map[string]struct{ body, line string }{
		"log":    {`for i = 1, 50 do log.warn("spam") end`, "msg=spam"},
		"print":  {`for i = 1, 50 do print("spam") end`, "msg=spam"},
		"raised": {`error("spam")`, "handler failed"},
		"return": {`return {spam = 1}`, "handler failed"},
		"action": {`local all = {} for i = 1, 2 do all[i] = {broadcast_room = "x"} end return all`, "without effect"},
		"note":   {`return {{track = {channel = "c", user_id = "u", phx_ref = 1}}, {untrack = "c"}}`, "is ignored"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := startNode(t, handler(`if event.message == "end" then return {send = "end"} end
if event.type == "message" then `+tt.body+` end`))
			c := n.dial("/ws/x")
			began := time.Now()
			const messages = 150
			for range messages {
				c.say("go")
			}
			c.say("end")
			for c.next() != "end" {
			}
			took := time.Since(began)
			lines := 0
			for line := range strings.Lines(n.log.String()) {
				if strings.Contains(line, tt.line) {
					lines++
				}
			}
			if most := linesOfOne.Burst + int(took/linesOfOne.Every) + 1; lines < linesOfOne.Burst || lines > most {
				t.Errorf("%d lines in %v, want %d to %d", lines, took, linesOfOne.Burst, most)
			}
			if n.server.Stats().Dropped == 0 && lines < messages {
				t.Error("what was dropped is not counted")
			}
		})
	}
}

func TestLogLinesAreClipped(t *testing.T) {
	n := startNode(t, scriptApp(`
local long = ("x"):rep(100000)
local fields = {} for i = 1, 5000 do fields["f" .. i] = i end
log.info(long)
log.info(("\1"):rep(100000), {short = "seen"})
log.info("fields", fields)
log.info("texts", {a = long, b = long, c = long, d = {long}, e = {{}, 1}})
print(long)
error(long)`))
	n.lua("").expect("closed 1011 script error")
	testkit.Eventually(t, "failure", func() bool { return len(n.seen.all()) == 1 })
	n.logged("handler failed")
	for line := range strings.Lines(n.log.String()) {
		if len(line) > maxLine+512 { // time, level, route and connection beside
			t.Errorf("a line of %d bytes: %.100s", len(line), line)
		}
	}
	n.logged("short=seen")
	n.logged("traceback=")
	n.logged("fields.f1=1 fields.f2=2")
}
