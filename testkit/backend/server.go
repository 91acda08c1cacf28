package backend

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// Secret is one that a Server knows, as Standard Webhooks writes it.
const Secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

// Mode is how a Server answers.
type Mode string

// The modes. But for OK, Reset and Endless nothing of a request is taken.
const (
	OK       Mode = "ok"
	Error    Mode = "500"
	Busy     Mode = "429"
	Hang     Mode = "hangs"              // it never answers
	HalfWay  Mode = "closes half-way"    // it closes the connection while it reads
	Reset    Mode = "closes"             // it takes the request and closes without an answer
	Redirect Mode = "redirects"          // to a place that must not be asked
	Endless  Mode = "answers with 1 GiB" // behind a 200
	Gone     Mode = "410"
)

// Modes are those in which a server fails, and comes back from.
func Modes() []Mode { return []Mode{Error, Busy, Hang, HalfWay, Reset, Redirect, Endless} }

// gib is the length of an Endless answer.
const gib = 1 << 30

// Server is a back end behind a URL. It checks each signature by the library of Standard Webhooks.
type Server struct {
	Fold
	URL  string
	http *httptest.Server

	mu      sync.Mutex
	mode    Mode
	until   chan struct{} // closed with the mode
	asked   int
	written int64    // bytes of Endless answers
	open    int      // requests under way
	most    int      // of them at a time
	wrong   []string // of requests
}

// NewServer starts one, which ends with the test.
func NewServer(t testing.TB) *Server { return start(t, (*httptest.Server).Start) }

// NewTLSServer starts one whose certificate nobody knows.
func NewTLSServer(t testing.TB) *Server { return start(t, (*httptest.Server).StartTLS) }

func start(t testing.TB, begin func(*httptest.Server)) *Server {
	t.Helper()
	s := &Server{mode: OK, until: make(chan struct{})}
	hook, err := standardwebhooks.NewWebhook(Secret)
	if err != nil {
		t.Fatal(err)
	}
	s.http = httptest.NewUnstartedServer(http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) { s.serve(hook, w, r) }))
	begin(s.http)
	s.URL = s.http.URL + "/hook"
	t.Cleanup(s.end)
	return s
}

func (s *Server) end() {
	s.Set(OK)
	s.http.CloseClientConnections()
	s.http.Close()
}

// Set changes how it answers; requests that hang end.
func (s *Server) Set(m Mode) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mode = m
	close(s.until)
	s.until = make(chan struct{})
}

// Asked counts requests.
func (s *Server) Asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// Written counts the bytes that clients took of Endless answers.
func (s *Server) Written() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.written
}

// Most is how many requests were under way at a time.
func (s *Server) Most() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.most
}

// Wrong is what no hook may send: of requests and of events.
func (s *Server) Wrong() []string {
	s.mu.Lock()
	wrong := slices.Clone(s.wrong)
	s.mu.Unlock()
	return append(wrong, s.Faults()...)
}

func (s *Server) serve(hook *standardwebhooks.Webhook, w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	mode, until := s.mode, s.until
	s.asked++
	s.open++
	s.most = max(s.most, s.open)
	if r.URL.Path != "/hook" {
		s.wrong = append(s.wrong, "a redirect was followed")
	}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.open--
	}()
	if mode == HalfWay {
		_, _ = io.ReadFull(r.Body, make([]byte, 10))
		panic(http.ErrAbortHandler)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if err := hook.Verify(body, r.Header); err != nil {
		s.mu.Lock()
		s.wrong = append(s.wrong, "signature: "+err.Error())
		s.mu.Unlock()
	}
	switch mode {
	case Error:
		http.Error(w, "not now", http.StatusInternalServerError)
	case Busy:
		http.Error(w, "not now", http.StatusTooManyRequests)
	case Gone:
		http.Error(w, "no more", http.StatusGone)
	case Hang:
		select {
		case <-until:
		case <-r.Context().Done():
		case <-time.After(time.Minute):
		}
		panic(http.ErrAbortHandler)
	case Redirect:
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	case Reset:
		s.take(body)
		panic(http.ErrAbortHandler)
	case Endless:
		s.take(body)
		block := make([]byte, 1<<20)
		for n := 0; n < gib; n += len(block) {
			if _, err := w.Write(block); err != nil {
				return
			}
			s.mu.Lock()
			s.written += int64(len(block))
			s.mu.Unlock()
		}
	default:
		s.take(body)
	}
}

func (s *Server) take(body []byte) {
	if err := s.Take(body); err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.wrong = append(s.wrong, err.Error())
	}
}
