package integration_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"rollcall/testkit"
	"rollcall/testkit/nodetest"
	"rollcall/testkit/redistest"
)

// tlsNode is a node with a certificate in a folder.
type tlsNode struct {
	*nodetest.Node
	dir string
}

func startTLS(t *testing.T, c *nodetest.Certificate, flags ...string) tlsNode {
	t.Helper()
	n := tlsNode{dir: t.TempDir()}
	n.put(t, c)
	flags = append(with("--tls-cert", filepath.Join(n.dir, "crt"), "--tls-key", filepath.Join(n.dir, "key")), flags...)
	n.Node = nodetest.Launch(t, nodetest.Options{Redis: redistest.Standalone(t).URL(), App: app, Flags: flags})
	testkit.Within(t, "readiness", nodetest.Timeout, func() bool {
		code, _, _ := nodetest.Command(t, nil, "health", "--listen", n.Addr())
		return code == 0
	})
	return n
}

// put renames a certificate and its key into place.
func (n tlsNode) put(t *testing.T, c *nodetest.Certificate) {
	t.Helper()
	for name, data := range map[string][]byte{"crt": c.Cert, "key": c.Key} {
		path := filepath.Join(n.dir, name)
		if err := os.WriteFile(path+".new", data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
}

func (n tlsNode) dial(t *testing.T, c *nodetest.Certificate, path string) *nodetest.Client {
	t.Helper()
	client, _, err := nodetest.TryDialTLS(t, c.Pool, n.Addr(), path)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// SPEC 1 over TLS; a new certificate is for new connections, and the old ones stay.
func TestTLS(t *testing.T) {
	t.Parallel()
	old, renewed, third := nodetest.NewCertificate(t), nodetest.NewCertificate(t), nodetest.NewCertificate(t)
	n := startTLS(t, old)
	first := n.dial(t, old, "/ws/do")
	script := n.dial(t, old, "/api/custom/test/do")
	first.Act(`{"join":"room","track":{"channel":"room","user_id":"first"}}`)
	n.put(t, renewed)
	var second *nodetest.Client
	testkit.Within(t, "the new certificate", nodetest.Timeout, func() bool {
		c, _, err := nodetest.TryDialTLS(t, renewed.Pool, n.Addr(), "/ws/do")
		second = c
		return err == nil
	})
	if _, _, err := nodetest.TryDialTLS(t, old.Pool, n.Addr(), "/ws/do"); err == nil {
		t.Error("the old certificate is still shown")
	}
	second.Act(`{"join":"room","track":{"channel":"room","user_id":"second"}}`)
	first.AwaitUsers("room", "first", "second")
	script.Call("solidb.ws.channel.broadcast", "room", "hello")
	first.Until("hello")
	second.Until("hello")
	if err := os.WriteFile(filepath.Join(n.dir, "key"), third.Key, 0o600); err != nil { // another's key
		t.Fatal(err)
	}
	testkit.Within(t, "the error in the log", nodetest.Timeout, func() bool {
		n.dial(t, renewed, "/ws/do").Drop()
		return strings.Contains(n.Log.Text(), "the certificate stays as it was")
	})
	first.Act(`{}`)
}

// SPEC 5.3: "in the same order for all subscribers of a channel from one sender", to a crowd over TLS.
func TestFanOutOverTLS(t *testing.T) {
	t.Parallel()
	const members, messages = 50, 100
	cert := nodetest.NewCertificate(t)
	n := startTLS(t, cert)
	var all []*nodetest.Client
	for range members {
		c := n.dial(t, cert, "/ws/do")
		c.Act(`{"join":"room"}`)
		all = append(all, c)
	}
	for i := range messages {
		all[0].Begin(map[string]any{"call": "ws_broadcast_room",
			"args": []any{"room", fmt.Sprintf("message %d %s", i, strings.Repeat("x", i*50))}})
	}
	for _, c := range all {
		next := 0
		for next < messages {
			got := c.Next()
			if strings.HasPrefix(got, "{") {
				continue // a reply
			}
			if want := fmt.Sprintf("message %d x", next); !strings.HasPrefix(got+"x", want) {
				t.Fatalf("got %.20q, want %q", got, want)
			}
			next++
		}
	}
}

// SPEC 5.5: "A slow or hostile client hurts only itself … the slow consumer is closed (1013)", over TLS.
func TestSlowReaderOverTLS(t *testing.T) {
	t.Parallel()
	cert := nodetest.NewCertificate(t)
	n := startTLS(t, cert, "--send-queue", "64KiB", "--log-level", "debug")
	reader := n.dial(t, cert, "/ws/do")
	reader.Act(`{"join":"room"}`)
	dialer := websocket.Dialer{TLSClientConfig: &tls.Config{RootCAs: cert.Pool},
		NetDial: func(network, addr string) (net.Conn, error) {
			conn, err := net.Dial(network, addr)
			if err == nil {
				err = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
			}
			return conn, err
		}}
	slow, _, err := dialer.Dial("wss://"+n.Addr()+"/ws/do", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	if err := slow.WriteMessage(websocket.TextMessage,
		[]byte(`{"raw":{"join":"room","track":{"channel":"room","user_id":"slow"}}}`)); err != nil {
		t.Fatal(err)
	}
	reader.AwaitUsers("room", "slow")
	message := strings.Repeat("x", 30<<10)
	isClosed := func(l nodetest.Line) bool { return l.Is("connection closed", "code", "1013", "cause", "slow") }
	for i := 0; i < 1000 && !slices.ContainsFunc(n.Log.Lines(), isClosed); i++ {
		began := time.Now()
		reader.Act(fmt.Sprintf(`{"broadcast_channel":{"channel":"room","message":%q}}`, message))
		reader.Until(message)
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("a broadcast took %v", took)
		}
	}
	n.Log.Await(t, "the client that does not read is closed", isClosed) // it has a second to take the close frame
	reader.AwaitUsers("room")
	if reader.Over() {
		t.Error("the one who reads was disconnected")
	}
}
