package egress

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/testkit"
)

// backEnd is a server, and a client that may ask it.
type backEnd struct {
	t *testing.T
	*httptest.Server
	client *Client
	asked  atomic.Int32
}

func startBackEnd(t *testing.T, cfg Config, h http.HandlerFunc) *backEnd {
	t.Helper()
	b := &backEnd{t: t}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.asked.Add(1)
		h(w, r)
	}))
	if cfg.Allow.Empty() {
		cfg.Allow = allow(t, "127.0.0.1")
	}
	b.client = New(cfg)
	t.Cleanup(func() {
		b.client.Close()
		b.CloseClientConnections()
		b.Close()
	})
	return b
}

// get asks for a path; what is wrong is given as its outcome and text.
func (b *backEnd) get(path string) string {
	return b.fetch(b.t.Context(), &Request{Method: "GET", URL: b.URL + path})
}

func (b *backEnd) fetch(ctx context.Context, r *Request) string { return fetch(ctx, b.client, r) }

func fetch(ctx context.Context, c *Client, r *Request) string {
	resp, err := c.Fetch(ctx, r)
	var e *Error
	if errors.As(err, &e) {
		return fmt.Sprintf("%s: %s", e.Outcome, e.Text)
	}
	if err != nil {
		return err.Error()
	}
	defer resp.Release()
	return fmt.Sprintf("%d %s", resp.Status, resp.Body)
}

func same(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func contains(t *testing.T, got, want string) {
	t.Helper()
	if !strings.Contains(got, want) {
		t.Errorf("got %s, which has no %q", got, want)
	}
}

func TestFetch(t *testing.T) {
	b := startBackEnd(t, Config{Agent: "Test"}, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Add("X-Two", "1")
		w.Header().Add("X-Two", "2")
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprintf(w, "%s %s %s %s %q", r.Method, r.URL, r.Header["X-A"], r.Header.Get("User-Agent"), body)
	})
	r := &Request{Method: "PUT", URL: b.URL + "/p?q=1#f", Header: http.Header{"X-A": {"1", "2"}}, Body: []byte("hi")}
	same(t, b.fetch(t.Context(), r), `418 PUT /p?q=1 [1 2] Test "hi"`)
	resp, err := b.client.Fetch(t.Context(), r)
	if err != nil || strings.Join(resp.Header["X-Two"], "") != "12" {
		t.Error(resp, err)
	}
	if b.client.held.Load() == 0 {
		t.Error("the body is not counted")
	}
	resp.Release()
	resp.Release()
	if held := b.client.held.Load(); held != 0 {
		t.Errorf("%d bytes are held after all", held)
	}
}

func TestNobodyMayBeAsked(t *testing.T) {
	c := New(Config{})
	defer c.Close()
	_, err := c.Fetch(t.Context(), &Request{Method: "GET", URL: "http://example.com"})
	var misuse *MisuseError
	if !errors.As(err, &misuse) || !strings.Contains(misuse.Text, "--http-allow") {
		t.Error(err)
	}
}

// SPEC 11: "Five redirects at most, to the same host and port".
func TestRedirects(t *testing.T) {
	other := startBackEnd(t, Config{}, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "stolen") })
	var b *backEnd
	b = startBackEnd(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
		var n int
		switch {
		case r.URL.Path == "/other":
			http.Redirect(w, r, other.URL, http.StatusFound)
		case r.URL.Path == "/name":
			http.Redirect(w, r, strings.Replace(b.URL, "127.0.0.1", "localhost", 1), http.StatusFound)
		case r.URL.Path == "/metadata":
			http.Redirect(w, r, "http://169.254.169.254/latest/meta-data", http.StatusFound)
		case r.URL.Path == "/file":
			http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
		case r.URL.Path == "/https":
			http.Redirect(w, r, strings.Replace(b.URL, "http", "https", 1), http.StatusFound)
		case r.URL.Path == "/user":
			http.Redirect(w, r, strings.Replace(b.URL, "//", "//a:b@", 1), http.StatusFound)
		default:
			if _, err := fmt.Sscanf(r.URL.Path, "/%d", &n); err != nil || n == 0 {
				fmt.Fprint(w, "there")
				return
			}
			http.Redirect(w, r, fmt.Sprintf("/%d", n-1), http.StatusTemporaryRedirect)
		}
	})
	same(t, b.get("/5"), "200 there")
	same(t, b.get("/6"), "redirect: more than 5 redirects")
	for _, path := range []string{"/other", "/name", "/metadata", "/file", "/https", "/user"} {
		same(t, b.get(path), "redirect: it redirects to another host or port")
	}
	if other.asked.Load() != 0 {
		t.Error("another port was asked")
	}
}

// SPEC 11: "1 MiB after decompression". A bomb, an endless body and one that is not what it says.
func TestBodies(t *testing.T) {
	squeeze := func(n int) []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write(bytes.Repeat([]byte("x"), n))
		_ = z.Close()
		return b.Bytes()
	}
	large, empty := squeeze(64<<20), bytes.Repeat(squeeze(0), 4000) // members without content
	b := startBackEnd(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
		send := func(data []byte) {
			if r.Header.Get("Accept-Encoding") != "gzip" {
				t.Error("gzip is not asked for")
			}
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(data)
		}
		switch r.URL.Path {
		case "/whole":
			_, _ = w.Write(make([]byte, MaxBody))
		case "/more":
			_, _ = w.Write(make([]byte, MaxBody+1))
		case "/endless":
			for {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		case "/zip":
			send(squeeze(MaxBody))
		case "/bomb":
			send(squeeze(MaxBody + 1))
		case "/large":
			send(large)
		case "/empty":
			for r.Context().Err() == nil {
				send(empty)
			}
		case "/lie":
			send([]byte("this is no gzip at all"))
		case "/torn":
			send(squeeze(1000)[:20])
		case "/headers":
			for i := range 200 {
				w.Header().Set(fmt.Sprintf("X-%d", i), strings.Repeat("x", 1000))
			}
		}
	})
	ok := "200 " + string(make([]byte, MaxBody))
	if b.get("/whole") != ok {
		t.Error("1 MiB is not there")
	}
	if got := b.get("/zip"); got != "200 "+strings.Repeat("x", MaxBody) {
		t.Errorf("1 MiB after decompression is not there: %.60s", got)
	}
	for path, want := range map[string]string{"/more": "too_large", "/endless": "too_large", "/bomb": "too_large",
		"/large": "too_large", "/empty": "too_large", "/lie": "bad_answer", "/torn": "unreachable",
		"/headers": "unreachable"} {
		contains(t, b.get(path), want+": ")
	}
	same(t, b.get("/more"), "too_large: the body of the answer is longer than 1048576 bytes")
	if held := b.client.held.Load(); held != 0 {
		t.Errorf("%d bytes are held after all", held)
	}
}

// The bodies of all answers together are bounded.
func TestHeld(t *testing.T) {
	b := startBackEnd(t, Config{Held: 100 << 10}, func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write(make([]byte, 40<<10))
	})
	one, err := b.client.Fetch(t.Context(), &Request{Method: "GET", URL: b.URL})
	if err != nil {
		t.Fatal(err)
	}
	contains(t, b.get("/"), "too_large: the answers that this node reads now")
	one.Release()
	contains(t, b.get("/"), "200 ")
}

func TestNoProxyOfTheEnvironment(t *testing.T) {
	proxy := startBackEnd(t, Config{}, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "proxied") })
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "ALL_PROXY"} {
		t.Setenv(name, proxy.URL)
	}
	c := New(Config{Allow: allow(t, "192.0.2.1:81"), Resolver: dns(t, nil)})
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if got := fetch(ctx, c, &Request{Method: "GET", URL: "http://192.0.2.1:81/"}); strings.Contains(got, "proxied") {
		t.Error(got)
	}
}

// A body that comes byte by byte ends with the time; so do headers that never end, and a server that says nothing.
func TestTimeouts(t *testing.T) {
	b := startBackEnd(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			for r.Context().Err() == nil {
				_, _ = w.Write([]byte("x"))
				_ = http.NewResponseController(w).Flush()
				time.Sleep(time.Millisecond)
			}
		}
		<-r.Context().Done()
	})
	for _, path := range []string{"/body", "/silent"} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		same(t, b.fetch(ctx, &Request{Method: "GET", URL: b.URL + path}), "timeout: timeout")
		cancel()
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	same(t, b.fetch(ctx, &Request{Method: "GET", URL: b.URL}), "cancelled: given up")
	time.AfterFunc(50*time.Millisecond, b.client.Close)
	same(t, b.get("/"), "cancelled: given up")
	same(t, b.get("/"), "cancelled: given up")
}

// SPEC 11: "1,000 a node"; one more waits, within its time. A busy machine can't open so many within it, so they are 50
// here.
func TestInFlight(t *testing.T) {
	byDefault := New(Config{})
	byDefault.Close()
	if n := byDefault.cfg.InFlight; n != 1000 {
		t.Errorf("%d may be under way", n)
	}
	const most = 50
	release := make(chan struct{})
	b := startBackEnd(t, Config{InFlight: most}, func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	var got sync.Map
	var done sync.WaitGroup
	for i := range most + 1 {
		done.Go(func() { got.Store(i, b.get("/")) })
	}
	testkit.Eventually(t, "all but one are under way", func() bool {
		return b.asked.Load() == most && b.client.waiting.Load() == 1
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	same(t, b.fetch(ctx, &Request{Method: "GET", URL: b.URL}), "busy: timeout: 50 others are under way")
	if b.asked.Load() != most {
		t.Error("more are under way")
	}
	close(release)
	done.Wait()
	got.Range(func(_, v any) bool {
		same(t, v.(string), "200 ")
		return !t.Failed()
	})
	if b.client.inFlight.Load() != 0 {
		t.Error("some are still counted")
	}
}
