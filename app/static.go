package app

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// static serves the files of public/. They are read from disk for each request; the browser may keep them but asks
// whether they are still the same (ETag), so a deployed change is seen at once.
type static struct {
	dir string // the public folder; it may be missing
}

// serve answers with the file for the path, or tells that there is none and writes nothing. Only for GET and HEAD.
func (s static) serve(w http.ResponseWriter, r *http.Request) bool {
	name, ok := fileName(r.URL.EscapedPath())
	if !ok {
		return false
	}
	root, err := os.OpenRoot(s.dir) // keeps every path inside, symbolic links too
	if err != nil {
		return false
	}
	defer root.Close()
	info, err := root.Stat(name)
	if err == nil && info.IsDir() {
		if index, err := root.Stat(filepath.Join(name, "index.html")); err == nil && index.Mode().IsRegular() {
			redirect(w, r)
			return true
		}
	}
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	f, err := root.Open(name)
	if err != nil {
		if errors.Is(err, fs.ErrPermission) {
			writeProblem(w, http.StatusForbidden, "the file cannot be read")
			return true
		}
		return false
	}
	defer f.Close()
	h := w.Header()
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", fmt.Sprintf(`"%x-%x"`, info.ModTime().UnixNano(), info.Size()))
	h.Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(w, r, name, info.ModTime(), f)
	return true
}

// fileName turns a URL path into a path below public/: "/" and "/a/" mean their index.html. Hidden files are not
// served.
func fileName(escaped string) (string, bool) {
	segments, err := splitPath(escaped)
	if err != nil {
		return "", false
	}
	last := len(segments) - 1
	for i, s := range segments {
		hidden := strings.HasPrefix(s, ".") && s != ".well-known"
		if hidden || s == "" && i < last || strings.ContainsAny(s, "/\\\x00") {
			return "", false
		}
	}
	if segments[last] == "" {
		segments[last] = "index.html"
	}
	name := strings.Join(segments, "/")
	return name, filepath.IsLocal(name)
}

// redirect sends "/docs" to "/docs/", so that relative links in its index.html work.
func redirect(w http.ResponseWriter, r *http.Request) {
	path := r.URL.EscapedPath()
	to := url.URL{Path: "./" + path[strings.LastIndexByte(path, '/')+1:] + "/", RawQuery: r.URL.RawQuery}
	to.Path, to.RawPath = unescaped(to.Path), to.Path
	w.Header().Set("Location", to.String())
	w.WriteHeader(http.StatusMovedPermanently)
}

func unescaped(path string) string {
	s, err := url.PathUnescape(path)
	if err != nil {
		return path
	}
	return s
}
