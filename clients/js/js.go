// Package js holds the client for browsers and Node (rollcall.js, the npm package rollcall-client), and serves it to
// pages.
//
// It starts no goroutine and knows nothing of the house. What the client does is told by docs/clients.md; its own tests
// are in test/, for Node.
package js

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"fmt"
	"net/http"
	"time"
)

// Path is where nodes serve the client.
const Path = "/_client/rollcall.js"

//go:embed rollcall.js
var source []byte

// tag changes with the client, and is the same on all nodes of one version.
var tag = fmt.Sprintf(`"%x"`, sha256.Sum256(source))

// Serve answers with the client. Browsers keep it, and ask whether it is still the same. Pages of every origin may load
// it: it holds no secret.
func Serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "the client is only to be read", http.StatusMethodNotAllowed)
		return
	}
	h.Set("Cache-Control", "no-cache")
	h.Set("Content-Type", "text/javascript; charset=utf-8")
	h.Set("ETag", tag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(source))
}
