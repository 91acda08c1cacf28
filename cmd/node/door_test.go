package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rollcall/auth"
	"rollcall/cluster"
	"rollcall/overload"
	"rollcall/testkit"
	"rollcall/testkit/nodetest"
)

// scripted is a listener that gives what it was told to give, then waits to be closed.
type scripted struct {
	net.Listener
	mu    sync.Mutex
	turns []func() (net.Conn, error)
	done  chan struct{}
}

func (s *scripted) Accept() (net.Conn, error) {
	s.mu.Lock()
	if len(s.turns) > 0 {
		turn := s.turns[0]
		s.turns = s.turns[1:]
		s.mu.Unlock()
		return turn()
	}
	s.mu.Unlock()
	<-s.done
	return nil, net.ErrClosed
}

func (s *scripted) Close() error { close(s.done); return nil }

// fakeFile is the file in reserve.
type fakeFile struct{ closed func() }

func (f fakeFile) Close() error { f.closed(); return nil }

// SPEC 16: running out of files is "a refusal (503), never a hang"; no error of accept ends the node or makes it spin.
func TestAcceptErrors(t *testing.T) {
	fail := func(err error) func() (net.Conn, error) {
		return func() (net.Conn, error) {
			return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", err)}
		}
	}
	var clients []net.Conn
	comes := func() (net.Conn, error) {
		server, client := net.Pipe()
		clients = append(clients, client)
		return server, nil
	}
	for _, tt := range []struct {
		name    string
		turns   []func() (net.Conn, error)
		files   int // that are free, besides the one in reserve
		pauses  int // at least
		refused int // of the sockets that come
		serves  int
	}{
		{"the network's errors", []func() (net.Conn, error){fail(syscall.ECONNABORTED), fail(syscall.EPERM),
			fail(syscall.ENOBUFS), fail(syscall.ENOMEM), comes}, 9, 4, 0, 1},
		{"no file for one", []func() (net.Conn, error){fail(syscall.EMFILE), comes, comes}, 0, 0, 2, 0},
		{"no file of the system", []func() (net.Conn, error){fail(syscall.ENFILE), comes}, 0, 0, 1, 0},
		{"files are back", []func() (net.Conn, error){fail(syscall.EMFILE), comes, comes}, 1, 0, 0, 2},
		{"the reserve was taken by others",
			[]func() (net.Conn, error){fail(syscall.EMFILE), fail(syscall.EMFILE), fail(syscall.EMFILE), comes}, 0, 2, 1, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			clients = nil
			ln := &scripted{turns: tt.turns, done: make(chan struct{})}
			refused := 0
			d := newDoor(ln, overload.NewAdmission(overload.Config{}), files{}, &Config{}, func(overload.Reason) { refused++ },
				slog.New(slog.DiscardHandler))
			_ = d.reserve.Close()
			free := tt.files
			d.reserve = fakeFile{func() {}}
			d.open = func() (io.Closer, error) {
				if free == 0 {
					return nil, syscall.EMFILE
				}
				free--
				return fakeFile{func() { free++ }}, nil
			}
			began := time.Now()
			var ended sync.WaitGroup
			served := make(chan net.Conn, len(tt.turns))
			ended.Go(func() {
				for {
					nc, err := d.Accept()
					if err != nil {
						if !errors.Is(err, net.ErrClosed) {
							t.Errorf("it ended with %v", err)
						}
						return
					}
					served <- nc
				}
			})
			for range tt.serves {
				select {
				case <-served:
				case <-time.After(nodetest.Timeout):
					t.Fatal("a socket is not served")
				}
			}
			testkit.Within(t, "all turns are over", nodetest.Timeout, func() bool {
				ln.mu.Lock()
				defer ln.mu.Unlock()
				return len(ln.turns) == 0
			})
			_ = d.Close()
			ended.Wait()
			if took := time.Since(began); took < time.Duration(tt.pauses)*acceptPause {
				t.Errorf("it took %v: it spins", took)
			}
			if refused != tt.refused || len(served) != 0 {
				t.Errorf("%d refused, %d more served", refused, len(served))
			}
			for _, c := range clients {
				_ = c.Close()
			}
		})
	}
}

// told reads what a refused client gets after it has asked for something.
func (c *rawClient) told(t *testing.T, status int, reason string) {
	t.Helper()
	resp, err := http.ReadResponse(c.say("GET /ws/do HTTP/1.1\r\nHost: x\r\n\r\n").r, nil)
	if err != nil {
		t.Fatalf("the socket ends without a word: %v", err)
	}
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != status || resp.Header.Get("Retry-After") == "" ||
		resp.Header.Get("Content-Type") != "application/problem+json" || !strings.Contains(string(body), reason) ||
		!resp.Close {
		t.Errorf("%s %v %s", resp.Status, resp.Header, body)
	}
}

// SPEC 3, --max-connections, --max-connections-per-ip: silent sockets count before any handshake; they go, and others
// come in.
func TestSilentSockets(t *testing.T) {
	for _, tt := range []struct {
		name   string
		flags  []string
		open   int // silent sockets that may be open
		status int
		reason string
	}{
		{"in all", []string{"--max-connections", "4"}, 20, 503, "as many connections"},
		{"from one address", []string{"--max-connections-per-ip", "4"}, 20, 429, "from this address"},
		{"from a proxy", []string{"--max-connections-per-ip", "4", "--trusted-proxies", "127.0.0.1"}, 60, 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg := configOf(t, append([]string{"--app", testApp, "--drain", "0s"}, tt.flags...)...)
			cfg.timeouts = timeouts{header: 3 * time.Second}
			n, err := start(t.Context(), cfg, cluster.NewProcess(), slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(n.close)
			addr := n.ln.Addr().String()
			var silent []*rawClient
			for range tt.open {
				silent = append(silent, dialRaw(t, addr))
			}
			testkit.Within(t, "they are counted", nodetest.Timeout, func() bool { return waiting(n) == tt.open })
			if tt.status != 0 {
				for range 3 {
					dialRaw(t, addr).told(t, tt.status, tt.reason)
				}
			}
			for _, c := range silent {
				c.expectEnd("a silent socket", 0, cfg.timeouts.header+busy)
			}
			testkit.Within(t, "there is room", nodetest.Timeout, func() bool { return waiting(n) == 0 })
			c := nodetest.Dial(t, addr, "/ws/do")
			c.Act(`{}`)
			if got := waiting(n); got != 0 {
				t.Errorf("the connection counts as %d sockets besides", got)
			}
			c.Drop()
			testkit.Within(t, "it has gone", nodetest.Timeout, func() bool { return connections(n) == 0 })
		})
	}
}

// waiting is how many sockets are counted that are no connections.
func waiting(n *node) int {
	_, plain, _ := n.admission.Check()
	return plain
}

// A refusal never reaches a client of TLS in clear, and a socket that says nothing is told all the same.
func TestRefusedSockets(t *testing.T) {
	cert := nodetest.NewCertificate(t)
	dir := write(t, map[string]string{"crt": string(cert.Cert), "key": string(cert.Key)})
	for name, flags := range map[string][]string{"plain": nil,
		"tls": {"--tls-cert", filepath.Join(dir, "crt"), "--tls-key", filepath.Join(dir, "key")}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, err := start(t.Context(), configOf(t,
				append([]string{"--app", testApp, "--drain", "0s", "--max-connections", "1"},
					flags...)...), cluster.NewProcess(), slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(n.close)
			addr := n.ln.Addr().String()
			for range 17 {
				dialRaw(t, addr)
			}
			testkit.Within(t, "they are counted", nodetest.Timeout, func() bool { return waiting(n) == 17 })
			got, err := io.ReadAll(dialRaw(t, addr)) // without a word
			if name == "plain" && !strings.HasPrefix(string(got), "HTTP/1.1 503 ") || name == "tls" && len(got) > 0 {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

// SPEC 16, last row: a node without files for more sockets refuses them with 503, says so in its metrics, keeps Redis
// and those who are there, and serves again when sockets have gone.
func TestOutOfFiles(t *testing.T) {
	for _, files := range []int{64, 256} { // with 64 accept itself finds none
		t.Run(fmt.Sprint(files), func(t *testing.T) {
			n := nodetest.Start(t, nodetest.Options{App: testApp, Files: files})
			line := n.Log.Await(t, "the limit", func(l nodetest.Line) bool { return l.Is("open files") })
			if line["limit"] != float64(files) {
				t.Fatalf("%v", line)
			}
			kept := nodetest.Dial(t, n.Addr(), "/ws/do")
			var sockets []*rawClient
			refused := false
			for range files + 50 {
				c := dialRaw(t, n.Addr())
				sockets = append(sockets, c)
				if c.say("GET /rooms HTTP/1.1\r\nHost: x\r\n\r\n").answer() == http.StatusServiceUnavailable {
					refused = true
				}
			}
			if !refused {
				t.Error("nobody was refused")
			}
			kept.Act(`{}`)
			for _, c := range sockets {
				_ = c.Close()
			}
			testkit.Within(t, "others come in again", nodetest.Timeout, func() bool {
				c, _, err := nodetest.TryDial(t, n.Addr(), "/ws/do")
				if err == nil {
					c.Drop()
				}
				return err == nil
			})
			if got := nodetest.Metric(t, n, `rollcall_sockets_refused_total{reason="files"}`); got == 0 {
				t.Error("the metrics do not say it")
			}
			if got := nodetest.Metric(t, n, `rollcall_incarnations_total`); got != 1 {
				t.Errorf("it lost its lease: %v", got)
			}
			kept.Act(`{}`)
		})
	}
}

// SPEC 3: "The address counts as seen through --trusted-proxies": a proxy's own sockets do not.
func TestPeerOfDoor(t *testing.T) {
	proxies, err := auth.ParseProxies([]string{"10.0.0.0/8", "2001:db8::/32"})
	if err != nil {
		t.Fatal(err)
	}
	d := &door{proxies: proxies}
	for addr, proxy := range map[string]bool{"10.1.2.3": true, "::ffff:10.1.2.3": true, "2001:db8::7": true,
		"192.0.2.1": false, "::1": false} {
		from, got := d.peer(peerConn{addr: &net.TCPAddr{IP: net.ParseIP(addr), Port: 9}})
		if got != proxy || from != overload.ParseAddress(addr) {
			t.Errorf("%s: %v, %v", addr, from, got)
		}
	}
}

type peerConn struct {
	net.Conn
	addr net.Addr
}

func (p peerConn) RemoteAddr() net.Addr { return p.addr }
