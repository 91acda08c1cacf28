// Package examples_test runs each app of examples/ in a real node and uses it as its clients do.
package examples_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rollcall/testkit/nodetest"
)

func TestMain(m *testing.M) { nodetest.Main(m) }

// dir is where the apps are.
const dir = "../../examples"

// start runs `rollcall serve --dev` with an app and the embedded Redis.
func start(t *testing.T, app string) *nodetest.Node {
	t.Helper()
	return nodetest.Start(t, nodetest.Options{App: filepath.Join(dir, app), Flags: []string{"--dev"}})
}

// object is a parsed JSON object.
type object map[string]any

// next reads frames until one with this event, which it gives; others before it must be among those that are allowed.
func next(t *testing.T, c *nodetest.Client, event string, between ...string) object {
	t.Helper()
	for {
		text := c.Next()
		var o object
		if err := json.Unmarshal([]byte(text), &o); err != nil {
			t.Fatalf("waiting for %q: got %s", event, text)
		}
		if o["event"] == event {
			return o
		}
		name, _ := o["event"].(string)
		if !strings.Contains(strings.Join(between, " "), name) {
			t.Fatalf("waiting for %q: got %s", event, text)
		}
	}
}

// at follows the names of members and gives what is there as JSON; "null" when nothing is.
func (o object) at(path ...string) string {
	var v any = map[string]any(o)
	for _, name := range path {
		switch inner := v.(type) {
		case map[string]any:
			v = inner[name]
		case []any:
			if len(inner) == 0 {
				return "null"
			}
			v = inner[0] // of a list, the first is meant
			if m, ok := v.(map[string]any); ok {
				v = m[name]
			}
		default:
			return "null"
		}
	}
	return nodetest.JSON(v)
}

// expect compares what is at a path.
func (o object) expect(t *testing.T, want string, path ...string) {
	t.Helper()
	if got := o.at(path...); got != want {
		t.Errorf("%s: got %s, want %s; in %s", strings.Join(path, "."), got, want, nodetest.JSON(o))
	}
}

// call makes an HTTP request and parses the answer.
func call(t *testing.T, n *nodetest.Node, method, path, body string, want int) object {
	t.Helper()
	status, text, _ := nodetest.Request(t.Context(), method, n.Addr(), path, body, "Content-Type: application/json")
	var o object
	if err := json.Unmarshal([]byte(text), &o); err != nil || status != want {
		t.Fatalf("%s %s: status %d, want %d; %s", method, path, status, want, text)
	}
	return o
}

// ISSUE 2: "Each is run by a test."
func TestCheck(t *testing.T) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	apps := 0
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		apps++
		t.Run(e.Name(), func(t *testing.T) {
			code, stdout, stderr := nodetest.Command(t, nil, "check", filepath.Join(dir, e.Name()))
			if code != 0 || !strings.Contains(stdout, "is right") {
				t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
			}
			if _, err := os.Stat(filepath.Join(dir, e.Name(), "README.md")); err != nil {
				t.Errorf("no README: %v", err)
			}
		})
	}
	if apps < 5 {
		t.Errorf("only %d examples found", apps)
	}
}

// Every example has a page, and all that the page names is there.
func TestPages(t *testing.T) {
	for _, app := range []string{"chat", "echo", "rooms", "whos-online", "notifications", "feed", "phoenix", "support"} {
		t.Run(app, func(t *testing.T) {
			n := start(t, app)
			status, page, head := nodetest.Request(t.Context(), http.MethodGet, n.Addr(), "/", "")
			if status != http.StatusOK || !strings.HasPrefix(head.Get("Content-Type"), "text/html") {
				t.Fatalf("GET /: status %d, %v", status, head)
			}
			found := 0
			for _, attribute := range []string{`src="`, `href="`} {
				for _, part := range strings.Split(page, attribute)[1:] {
					path, _, _ := strings.Cut(part, `"`)
					if strings.HasPrefix(path, "#") || strings.HasPrefix(path, "data:") {
						continue
					}
					found++
					path = "/" + strings.TrimPrefix(path, "/")
					if status := nodetest.Status(n.Addr(), path); status != http.StatusOK {
						t.Errorf("the page names %s: status %d", path, status)
					}
				}
			}
			if found < 2 {
				t.Errorf("the page names only %d files", found)
			}
		})
	}
}
