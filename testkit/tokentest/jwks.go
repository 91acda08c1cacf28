package tokentest

import (
	"encoding/json"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// JWKS is a server of a key set that can be changed, and go down and up again at the same address.
type JWKS struct {
	t   testing.TB
	URL string

	mu      sync.Mutex
	addr    string
	server  *http.Server // nil: down
	ended   chan struct{}
	body    []byte
	status  int
	hang    chan struct{} // not nil: answers wait until it is closed
	fetches int
}

// NewJWKS serves a key set on a free port of this machine.
func NewJWKS(t testing.TB, keys ...Claims) *JWKS {
	t.Helper()
	j := &JWKS{t: t, status: http.StatusOK, addr: "127.0.0.1:0"}
	j.Set(keys...)
	j.Up()
	j.URL = "http://" + j.addr + "/.well-known/jwks.json"
	t.Cleanup(j.Down)
	return j
}

// Set changes the keys.
func (j *JWKS) Set(keys ...Claims) {
	j.t.Helper()
	body, err := json.Marshal(Claims{"keys": append([]Claims{}, keys...)})
	if err != nil {
		j.t.Fatal(err)
	}
	j.Answer(http.StatusOK, string(body))
}

// Answer lets the server answer anything.
func (j *JWKS) Answer(status int, body string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.status, j.body = status, []byte(body)
}

// Hang lets answers wait; the function it returns lets them go.
func (j *JWKS) Hang() (release func()) {
	hang := make(chan struct{})
	j.mu.Lock()
	j.hang = hang
	j.mu.Unlock()
	return sync.OnceFunc(func() {
		j.mu.Lock()
		j.hang = nil
		j.mu.Unlock()
		close(hang)
	})
}

// Fetches is how often the keys have been asked for.
func (j *JWKS) Fetches() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.fetches
}

// Down ends the server: connections to it are refused. It can be called again.
func (j *JWKS) Down() {
	j.mu.Lock()
	server, ended := j.server, j.ended
	j.server = nil
	j.mu.Unlock()
	if server != nil {
		_ = server.Close()
		<-ended
	}
}

// Up lets the server listen again.
func (j *JWKS) Up() {
	j.t.Helper()
	l, err := net.Listen("tcp", j.addr)
	if err != nil {
		j.t.Fatalf("serve keys: %v", err)
	}
	server := &http.Server{Handler: http.HandlerFunc(j.serve), ReadHeaderTimeout: time.Minute}
	ended := make(chan struct{})
	j.mu.Lock()
	j.addr, j.server, j.ended = l.Addr().String(), server, ended
	j.mu.Unlock()
	go func() {
		_ = server.Serve(l)
		close(ended)
	}()
}

func (j *JWKS) serve(w http.ResponseWriter, r *http.Request) {
	j.mu.Lock()
	j.fetches++
	status, body, hang := j.status, j.body, j.hang
	j.mu.Unlock()
	if hang != nil {
		select {
		case <-hang:
		case <-r.Context().Done():
			return
		}
	}
	w.Header().Set("Content-Type", "application/jwk-set+json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // a node that has gone need not get it
}
