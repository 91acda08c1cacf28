package app

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// Refusal is why an upgrade is not admitted, as the client is told.
type Refusal struct {
	Status     int
	RetryAfter time.Duration // in whole seconds; 0: it is not said
	Detail     string
}

// Write answers with it, as a problem document.
func (f *Refusal) Write(w http.ResponseWriter) {
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(f.RetryAfter/time.Second)))
	}
	writeProblem(w, f.Status, f.Detail)
}

// writeProblem answers with an RFC 9457 problem document.
func writeProblem(w http.ResponseWriter, status int, detail string) {
	body, err := json.Marshal(map[string]any{"title": http.StatusText(status), "status": status, "detail": detail})
	if err != nil {
		body = []byte(`{}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}
