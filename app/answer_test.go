package app

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// SPEC 1.3: "HTTP handlers return a string, a table (JSON), or {status=, headers=, body=}"; SPEC 6: "An answer table is
// {status, headers, body} only if it has no other keys and status is an integer from 100 to 599; otherwise it is JSON.
// json.null as a return value is nil."
func TestReadAnswer(t *testing.T) {
	const text, js = " Content-Type=text/plain; charset=utf-8", " Content-Type=application/json"
	tests := []struct{ name, source, want string }{
		{"string", `"hi"`, "200" + text + " hi"},
		{"empty string", `""`, "200" + text + " "},
		{"table", `{a = 1}`, "200" + js + ` {"a":1}`},
		{"empty table", `{}`, "200" + js + ` {}`},
		{"empty array", `return json.array({})`, "200" + js + ` []`},
		{"number", `3`, "200" + js + ` 3`},
		{"boolean", `true`, "200" + js + ` true`},
		{"nil", `nil`, "204 "},
		{"null", `json.null`, "204 "},
		{"nothing", `local x`, "204 "},
		{"whole", `{status = 201, headers = {Location = "/x", ["X-N"] = 3}, body = "made"}`,
			"201" + text + " Location=/x X-N=3 made"},
		{"status alone", `{status = 404}`, "404 "},
		{"status and null body", `{status = 404, body = json.null, headers = json.null}`, "404 "},
		{"table as body", `{status = 422, body = {error = "x"}}`, "422" + js + ` {"error":"x"}`},
		{"own content type", `{status = 200, headers = {["content-type"] = "text/html"}, body = "<p>"}`,
			"200 Content-Type=text/html <p>"},
		{"several headers of a name", `{status = 200, headers = {["Set-Cookie"] = {"a=1", "b=2"}}}`,
			"200 Set-Cookie=a=1 Set-Cookie=b=2 "},
		{"another key makes it JSON", `{status = 200, body = "x", other = 1}`,
			"200" + js + ` {"status":200,"body":"x","other":1}`},
		{"a status that is none", `{status = 600, body = "x"}`, "200" + js + ` {"status":600,"body":"x"}`},
		{"a status below", `{status = 99}`, "200" + js + ` {"status":99}`},
		{"a fraction", `{status = 200.5}`, "200" + js + ` {"status":200.5}`},
		{"a string as status", `{status = "ok"}`, "200" + js + ` {"status":"ok"}`},
		{"no status", `{body = "x"}`, "200" + js + ` {"body":"x"}`},
		{"a function", `print`, "!encode the answer"},
		{"a function as body", `{status = 200, body = print}`, "!encode the answer"},
		{"an informational status", `{status = 101}`, "!the status 101 cannot end an answer"},
		{"headers a string", `{status = 200, headers = "x"}`, "!headers must be a table"},
		{"a header a table", `{status = 200, headers = {A = {b = 1}}}`, `!header "A": must be an array`},
		{"a header true", `{status = 200, headers = {A = true}}`,
			`!header "A" must be a string, a number or an array of them, not true`},
		{"a header with a line break", `{status = 200, headers = {A = "x\r\nB: y"}}`, `!header "A" has a control character`},
		{"a bad header name", `{status = 200, headers = {["A B"] = "x"}}`, `!headers: "A B" is no header name`},
		{"a number as header name", `{status = 200, headers = {"x"}}`, `!headers: 1 is no header name`},
		{"a header of the server", `{status = 200, headers = {["Content-Length"] = 3}}`,
			`!headers: "Content-Length" is the server's own`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, v := eval(t, tt.source)
			a, err := readAnswer(v, 1<<20)
			if want, bad := strings.CutPrefix(tt.want, "!"); bad {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Fatalf("error %v, want %q", err, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprintf("%d%s %s", a.status, headerText(a.header), a.body); got != tt.want {
				t.Fatalf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func headerText(h http.Header) string {
	var out []string
	for name, values := range h {
		for _, v := range values {
			out = append(out, " "+name+"="+v)
		}
	}
	slices.Sort(out)
	return strings.Join(out, "")
}
