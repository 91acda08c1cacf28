package main

import (
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rollcall/cluster"
	"rollcall/testkit"
	"rollcall/testkit/nodetest"
)

// logged writes one record with a log of these flags.
func logged(t *testing.T, write func(*slog.Logger), flags ...string) string {
	t.Helper()
	var out strings.Builder
	write(newLog(configOf(t, append([]string{"--app", "testdata/passing"}, flags...)...), "p", &out))
	return out.String()
}

// Tracebacks are read by people in text, and by machines, line by line, in JSON.
func TestTracebacks(t *testing.T) {
	const trace = "stack traceback:\n\thandlers/a.lua:2: in f\x1b[31m\n\t[G]: in ?"
	failed := func(log *slog.Logger) {
		log.With("route", "/ws").Error("handler failed", "file", "handlers/a.lua", "line", 2, "error", "handlers/a.lua:2: oh",
			"took", time.Second, "traceback", trace)
	}
	text := logged(t, failed)
	line, below, _ := strings.Cut(text, "\n")
	if !strings.HasSuffix(line,
		` level=ERROR msg="handler failed" node=p route=/ws file=handlers/a.lua line=2 error="handlers/a.lua:2: oh" took=1s`) ||
		below != "    stack traceback:\n      handlers/a.lua:2: in f[31m\n      [G]: in ?\n" {
		t.Errorf("in text it is\n%s", text)
	}
	if text := logged(t, failed, "--log-format", "json"); strings.Count(text, "\n") != 1 ||
		!strings.Contains(text, `"traceback":"stack traceback:\n\thandlers/a.lua:2`) {
		t.Errorf("in JSON it is\n%s", text)
	}
	text = logged(t, func(log *slog.Logger) { log.Warn("late", "error", errors.New("a\nb")) }, "--dev")
	if strings.Count(text, "\n") != 1 || !strings.HasSuffix(text, ` msg=late node=p error="a\nb"`+"\n") {
		t.Errorf("an error without a place is\n%s", text)
	}
}

// `--dev` prints one clear block for each error: place, message, the line with its neighbours, traceback.
func TestDevPrintsBlocks(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "config/routes.lua"), `router_websocket("/ws", "h#h")`)
	handler := filepath.Join(dir, "handlers/h.lua")
	writeFile(t, handler, `function h(event)
  if event.type == "message" then
    return { send = event.user.claims.name }
  elseif event.type == "connect" then

    return { sned = "hello" }
  end
end`)
	cfg := configOf(t, "--dev", "--app", dir)
	log := &nodetest.Log{}
	n, err := start(t.Context(), cfg, cluster.NewProcess(), newLog(cfg, "p", log))
	if err != nil {
		t.Fatal(err)
	}
	defer n.close()
	await := func(block string) {
		t.Helper()
		testkit.Within(t, "that it is logged", nodetest.Timeout,
			func() bool { return strings.Contains(log.Text(), block) })
	}
	await(`msg="the app has a mistake" node=p
    handlers/h.lua:6: unknown action "sned": did you mean "send"?
         5 |
    >    6 |     return { sned = "hello" }
         7 |   end
`)
	c := nodetest.Dial(t, n.ln.Addr().String(), "/ws")
	await(`    handlers/h.lua:6: bad return value: unknown action "sned": did you mean "send"?
         5 |
    >    6 |     return { sned = "hello" }
         7 |   end
`)
	c.Send("x")
	await(`
    handlers/h.lua:3: attempt to index a non-table object(nil) with key 'name'
         2 |   if event.type == "message" then
    >    3 |     return { send = event.user.claims.name }
         4 |   elseif event.type == "connect" then
    stack traceback:
      handlers/h.lua:3: in `)
	writeFile(t, handler, "function h(event)\n  return {\nend\n")
	await(`
    handlers/h.lua:3: syntax error near 'end'
         2 |   return {
    >    3 | end
`)
}
