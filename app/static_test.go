package app

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// writeFiles makes a folder with these files.
func writeFiles(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// SPEC 1: "public/: static files, served at /".
func TestStaticFiles(t *testing.T) {
	dir := writeFiles(t, map[string]string{
		"secret.txt": "secret", "public/index.html": "<h1>home", "public/app.js": "let a", "public/docs/index.html": "docs",
		"public/empty/x.txt": "x", "public/.env": "hidden", "public/.well-known/a.txt": "known", "public/a b.txt": "space",
		"public/.git/config": "hidden",
	})
	if err := os.Symlink("../secret.txt", filepath.Join(dir, "public/link.txt")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("app.js", filepath.Join(dir, "public/inside.js")); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		path, want string // "" = not served, "-> x" = redirect
	}{
		{"/", "<h1>home"},
		{"/index.html", "<h1>home"},
		{"/app.js", "let a"},
		{"/app.js/", ""},
		{"/docs/", "docs"},
		{"/docs", "-> ./docs/"},
		{"/docs?x=1", "-> ./docs/?x=1"},
		{"/empty", ""},
		{"/empty/", ""},
		{"/nothing", ""},
		{"/a%20b.txt", "space"},
		{"/.env", ""},
		{"/.git/config", ""},
		{"/.well-known/a.txt", "known"},
		{"/../secret.txt", ""},
		{"/%2e%2e/secret.txt", ""},
		{"/..%2fsecret.txt", ""},
		{"/docs/..%2f..%2f..%2fsecret.txt", ""},
		{"/%5c..%5csecret.txt", ""},
		{"/app.js%00", ""},
		{"//app.js", ""},
		{"//docs", ""},
		{"/link.txt", ""},
		{"/inside.js", "let a"},
	}
	s := static{filepath.Join(dir, "public")}
	for _, tt := range tests {
		t.Run(tt.path, func(t *testing.T) {
			r := httptest.NewRequest("GET", "http://x/", nil)
			u, err := r.URL.Parse("http://x" + tt.path)
			if err != nil {
				t.Fatal(err)
			}
			r.URL = u
			w := httptest.NewRecorder()
			served := s.serve(w, r)
			got := w.Body.String()
			if loc := w.Header().Get("Location"); loc != "" {
				got = "-> " + loc
			}
			if got != tt.want || served != (tt.want != "") {
				t.Fatalf("served %v: %q, want %q", served, got, tt.want)
			}
		})
	}
}

func TestStaticCaching(t *testing.T) {
	dir := writeFiles(t, map[string]string{"app.js": "let a"})
	s := static{dir}
	w := httptest.NewRecorder()
	s.serve(w, httptest.NewRequest("GET", "/app.js", nil))
	etag := w.Header().Get("ETag")
	if w.Header().Get("Cache-Control") != "no-cache" || etag == "" ||
		!strings.Contains(w.Header().Get("Content-Type"), "javascript") {
		t.Fatalf("headers %v", w.Header())
	}
	r := httptest.NewRequest("GET", "/app.js", nil)
	r.Header.Set("If-None-Match", etag)
	w = httptest.NewRecorder()
	s.serve(w, r)
	if w.Code != http.StatusNotModified {
		t.Fatalf("status %d, want 304", w.Code)
	}
	w = httptest.NewRecorder()
	s.serve(w, httptest.NewRequest("HEAD", "/app.js", nil))
	if w.Code != 200 || w.Body.Len() != 0 || w.Header().Get("Content-Length") != "5" {
		t.Fatalf("HEAD: %d %v", w.Code, w.Header())
	}
}
