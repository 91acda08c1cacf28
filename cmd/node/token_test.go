package main

import (
	"encoding/json"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rollcall/auth"
)

const (
	tokenSecret  = "a secret of the tests, 32 bytes long"
	secondSecret = "another one, 32 bytes long as well.."
)

// minted runs `rollcall token` and checks what it printed as a node would.
func minted(t *testing.T, cfg auth.Config, args ...string) (auth.Identity, string) {
	t.Helper()
	code, stdout, stderr := runNode(t, append([]string{"token"}, args...)...)
	token, ok := strings.CutSuffix(stdout, "\n")
	if code != 0 || stderr != "" || !ok || strings.ContainsAny(token, " \n") {
		t.Fatalf("exit code %d, out %q, err %q", code, stdout, stderr)
	}
	if cfg.Secrets == nil {
		cfg.Secrets = [][]byte{[]byte(tokenSecret)}
	}
	cfg.Log = slog.New(slog.DiscardHandler)
	v, err := auth.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	id, err := v.Verify(t.Context(), token)
	if err != nil {
		t.Fatalf("%s: %v", token, err)
	}
	return id, token
}

// SPEC 3: "node token --user … (mints a development token)".
func TestToken(t *testing.T) {
	files := write(t, map[string]string{"one": tokenSecret + "\n",
		"two": "# new, then old\n\n " + tokenSecret + " \r\n" + secondSecret + "\n"})
	for _, tt := range []struct {
		name string
		env  map[string]string
		args []string
		cfg  auth.Config
		want string // the user table without iat and exp
	}{
		{"a user alone", nil, []string{"--user", "42", "--jwt-secret", tokenSecret}, auth.Config{RequireExpiry: true},
			`{"authenticated":true,"claims":{"sub":"42"},"id":"42","roles":[],"username":"42"}`},
		{"all", nil, []string{"--user", "42", "--name", "Ann; the 2nd", "--roles", "a,b", "--channels", "room:*,x", "--ttl",
			"5m", "--audience", "app", "--issuer", "dev",
			"--claim", `team="blue; or, green"`, "--claim", `big=9007199254740993`, "--claim", `o={"a":[1,null]}`,
			"--jwt-secret", tokenSecret},
			auth.Config{Audience: []string{"app"}, Issuer: "dev", RequireExpiry: true},
			`{"authenticated":true,"claims":{"aud":"app","big":9007199254740993,"channels":["room:*","x"],"iss":"dev","o":{"a":[1,null]},"preferred_username":"Ann; the 2nd",` +
				`"roles":["a","b"],"sub":"42","team":"blue; or, green"},"id":"42","roles":["a","b"],"username":"Ann; the 2nd"}`},
		{"repeated lists", nil, []string{"--user", "u", "--roles", "a", "--roles", "b", "--channels", "x", "--channels", "y",
			"--jwt-secret", tokenSecret}, auth.Config{},
			`{"authenticated":true,"claims":{"channels":["x","y"],"roles":["a","b"],"sub":"u"},"id":"u","roles":["a","b"],"username":"u"}`},
		{"a file", nil, []string{"--user", "u", "--jwt-secret-file", filepath.Join(files, "one")}, auth.Config{}, ""},
		{"the first of a file", nil, []string{"--user", "u", "--jwt-secret-file", filepath.Join(files, "two")}, auth.Config{},
			""},
		{"the environment", map[string]string{"JWT_SECRET": tokenSecret, "JWT_AUDIENCE": "app,other", "JWT_ISSUER": "dev"},
			[]string{"--user", "u"},
			auth.Config{Audience: []string{"app"}, Issuer: "dev"}, ""},
		{"a file from the environment", map[string]string{"JWT_SECRET_FILE": filepath.Join(files, "one")},
			[]string{"--user", "u"}, auth.Config{}, ""},
		{"no other variable", map[string]string{"USER": "env", "NAME": "env", "ROLES": "env", "CHANNELS": "env", "TTL": "-1h",
			"CLAIM": "env=1"},
			[]string{"--user", "u", "--jwt-secret",
				tokenSecret}, auth.Config{RequireExpiry: true},
			`{"authenticated":true,"claims":{"sub":"u"},"id":"u","roles":[],"username":"u"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for name, value := range tt.env {
				t.Setenv("ROLLCALL_"+name, value)
			}
			id, _ := minted(t, tt.cfg, tt.args...)
			var user map[string]any
			d := json.NewDecoder(strings.NewReader(string(id.User)))
			d.UseNumber()
			if err := d.Decode(&user); err != nil {
				t.Fatal(err)
			}
			claims := user["claims"].(map[string]any)
			delete(claims, "iat")
			delete(claims, "exp")
			got, err := json.Marshal(user)
			if err != nil {
				t.Fatal(err)
			}
			if tt.want != "" && string(got) != tt.want {
				t.Errorf("user %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestTokenTime(t *testing.T) {
	for _, tt := range []struct {
		name string
		ttl  []string
		want time.Duration // 0: for ever
	}{
		{"the default", nil, time.Hour},
		{"given", []string{"--ttl", "90s"}, 90 * time.Second},
		{"for ever", []string{"--ttl", "0"}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			id, _ := minted(t, auth.Config{Leeway: -1},
				append([]string{"--user", "u", "--jwt-secret", tokenSecret}, tt.ttl...)...)
			left := time.Until(id.Until)
			switch {
			case tt.want == 0 && !id.Until.IsZero():
				t.Errorf("it ends %v", id.Until)
			case tt.want != 0 && (left > tt.want || left < tt.want-10*time.Second):
				t.Errorf("it is good for %v, want %v", left, tt.want)
			}
		})
	}
}

// SPEC 3: "Bad configuration: exit 2 and one line that names the flag and the mend".
func TestBadToken(t *testing.T) {
	files := write(t, map[string]string{"empty": "# none\n", "short": "short\n"})
	good := []string{"--user", "u", "--jwt-secret", tokenSecret}
	for _, tt := range []struct {
		name string
		args []string
		says []string
	}{
		{"no user", []string{"--jwt-secret", tokenSecret}, []string{"--user"}},
		{"an empty user", []string{"--user=", "--jwt-secret", tokenSecret}, []string{"--user", "1 to 255 bytes"}},
		{"a user with a line end", []string{"--user=a\nb", "--jwt-secret", tokenSecret},
			[]string{"--user", "control characters"}},
		{"no secret", []string{"--user", "u"}, []string{"--jwt-secret", "ROLLCALL_JWT_SECRET"}},
		{"a short secret", []string{"--user", "u", "--jwt-secret", "short"}, []string{"--jwt-secret", "at least 32"}},
		{"a short secret in a file", []string{"--user", "u", "--jwt-secret-file", filepath.Join(files, "short")},
			[]string{"--jwt-secret-file", "at least 32"}},
		{"secret and file", append([]string{"--jwt-secret-file", filepath.Join(files, "empty")}, good...),
			[]string{"--jwt-secret-file", "not both"}},
		{"no file", []string{"--user", "u", "--jwt-secret-file", filepath.Join(files, "none")},
			[]string{"--jwt-secret-file", "can be read"}},
		{"an empty file", []string{"--user", "u", "--jwt-secret-file", filepath.Join(files, "empty")},
			[]string{"--jwt-secret-file", "no secret"}},
		{"a claim without value", append([]string{"--claim", "team"}, good...),
			[]string{"--claim", "a name and a JSON value"}},
		{"a claim without name", append([]string{"--claim", "=1"}, good...), []string{"--claim", "a name and a JSON value"}},
		{"a claim that is no JSON", append([]string{"--claim", "team=blue"}, good...),
			[]string{"--claim", "team", "in quotes"}},
		{"a claim of two values", append([]string{"--claim", "team=1 2"}, good...), []string{"--claim", "team", "no JSON"}},
		{"sub as a claim", append([]string{"--claim", `sub="root"`}, good...), []string{"--claim", "--user"}},
		{"iat as a claim", append([]string{"--claim", `iat=1`}, good...), []string{"--claim", "minting"}},
		{"exp as a claim and a flag", append([]string{"--claim", `exp=1`}, good...), []string{"--claim", "--ttl"}},
		{"roles as a claim and a flag", append([]string{"--claim", `roles="a"`, "--roles", "b"}, good...),
			[]string{"--claim", "--roles"}},
		{"a time that is none", append([]string{"--ttl", "soon"}, good...), []string{"--ttl", "duration"}},
		{"too long", append([]string{"--name", strings.Repeat("x", auth.MaxToken)}, good...), []string{"fewer claims"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, stdout, stderr := runNode(t, append([]string{"token"}, tt.args...)...)
			if code != 2 || stdout != "" || strings.Count(stderr, "\n") != 1 {
				t.Errorf("exit code %d, out %q, err %q; want 2 and one line", code, stdout, stderr)
			}
			for _, says := range tt.says {
				if !strings.Contains(stderr, says) {
					t.Errorf("%q lacks %q", stderr, says)
				}
			}
			if strings.Contains(stderr, tokenSecret) {
				t.Errorf("it shows the secret: %s", stderr)
			}
		})
	}
}

// A claim of any shape can be tried, as long as no flag sets it too.
func TestTokenClaimsWithoutFlags(t *testing.T) {
	id, _ := minted(t, auth.Config{Audience: []string{"b"}}, "--user", "u", "--jwt-secret", tokenSecret, "--ttl", "0",
		"--claim", `exp=4102444800.5`, "--claim", `aud=["a","b"]`, "--claim", `channels="no array"`)
	if id.Until.Unix() != 4102444810 || id.Permissions.Allows(auth.ToJoin, "no array") {
		t.Errorf("%+v", id)
	}
}
