package docs_test

import (
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"rollcall/auth"
)

// authPage is docs/auth.md: it makes its own app, keys and node.
var authPage = Page{File: "auth.md"}

// The snippets of docs/auth.md that make tokens, in each language, make good ones.
func TestMintSnippets(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs", "auth.md"))
	if err != nil {
		t.Fatal(err)
	}
	const secret = "the secret of this test, long enough"
	v, err := auth.New(t.Context(),
		auth.Config{Secrets: [][]byte{[]byte(secret)}, RequireExpiry: true, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	for _, tt := range []struct {
		lang, file string
		run        []string
	}{
		{"js", "mint.mjs", []string{"node"}},
		{"python", "mint.py", []string{"python3"}},
		{"go", "mint.go", []string{"go", "run"}},
	} {
		t.Run(tt.lang, func(t *testing.T) {
			need(t, tt.run[0])
			begin := regexp.MustCompile("(?s)```" + tt.lang + "\n((?://|#) " + regexp.QuoteMeta(tt.file) +
				".*?)```").FindSubmatch(page)
			if begin == nil {
				t.Fatalf("no snippet of %s", tt.file)
			}
			path := filepath.Join(t.TempDir(), tt.file)
			if err := os.WriteFile(path, begin[1], 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), tt.run[0], append(tt.run[1:], path)...)
			cmd.Dir, cmd.Env = root, append(os.Environ(), "SECRET="+secret) // Go finds its library in the project's go.mod
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			id, err := v.Verify(t.Context(), strings.TrimSpace(string(out)))
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			left := time.Until(id.Until)
			if id.ID != "42" || !strings.Contains(string(id.User), `"username":"ann"`) ||
				!id.Permissions.Allows(auth.ToJoin, "room:1") ||
				left < 14*time.Minute || left > 16*time.Minute {
				t.Errorf("it is for %s, until %v", id.User, id.Until)
			}
		})
	}
}

// docs/auth.md lists every code with the text that clients read.
func TestAuthPageNamesEveryCode(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs", "auth.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (.+?) \\| .+ \\|$").FindAllStringSubmatch(string(page), -1)
	told := map[string]string{}
	for _, r := range rows {
		told[r[1]] = r[2]
	}
	for _, code := range auth.Codes() {
		if want := (&auth.Error{Code: code}).Error(); told[string(code)] != want {
			t.Errorf("%s: the page says %q, clients read %q", code, told[string(code)], want)
		}
	}
}
