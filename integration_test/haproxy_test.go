package integration_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"rollcall/testkit"
	"rollcall/testkit/nodetest"
)

// balance starts HAProxy with deploy/haproxy.cfg in front of one node in place of the three. It returns its address
// when HAProxy has found the node ready.
func balance(t *testing.T, n *nodetest.Node) string {
	t.Helper()
	addr := nodetest.StartHAProxy(t, "../deploy/haproxy.cfg", n)
	testkit.Within(t, "an answer through HAProxy", nodetest.Timeout, func() bool {
		return nodetest.Status(addr, "/hello.txt") == http.StatusOK
	})
	return addr
}

// ask sends one request with this target as it is, and gives the status and the body of the answer.
func ask(t *testing.T, addr, target string) (status int, body string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(nodetest.Timeout))
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n", target); err != nil {
		t.Fatal(err)
	}
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("%s: %v", target, err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatalf("%s: %v", target, err)
	}
	return r.StatusCode, string(b)
}

// What the balancer keeps from the outside can't be had by writing it in another way: the node decodes paths.
func TestHAProxyHidesPrivatePaths(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t, nodetest.Options{App: app, Flags: with()})
	addr := balance(t, n)
	for _, tt := range []struct {
		target string
		served bool // by the node itself
	}{
		{"/metrics", true},
		{"/metrics?x=1", true},
		{"/%6detrics", true},
		{"/%6Detrics", true},
		{"/%6d%65%74%72%69%63%73?x", true},
		{"/%68ealthz", true},
		{"/read%79z", true},
		{"http://example.com/metrics", true},
		{"http://example.com/%6detrics", true},
		{"http:///metrics", true},
		{"http://a@example.com/metrics", true},
		{"http:/metrics", true},
		{"/METRICS", false},
		{"HTTP://EXAMPLE.COM/Metrics", false},
		{"/%4Detrics", false},
		{"//metrics", false},
		{"/./metrics", false},
		{"/a/../metrics", false},
		{"/%2e/metrics", false},
		{"/%2fmetrics", false},
		{"/metrics/", false},
		{"/metrics%00", false},
		{"/%256detrics", false},
	} {
		t.Run(strings.ReplaceAll(tt.target, "/", "|"), func(t *testing.T) {
			if status, _ := ask(t, n.Addr(), tt.target); (status == http.StatusOK) != tt.served {
				t.Errorf("the node itself answers %d", status)
			}
			if status, body := ask(t, addr, tt.target); status != http.StatusNotFound && status != http.StatusBadRequest {
				t.Errorf("through HAProxy: %d, %.80q", status, body)
			}
		})
	}
	for _, target := range []string{"/hello.txt", "/hell%6f.txt", "http://example.com/hello.txt"} {
		if status, _ := ask(t, addr, target); status != http.StatusOK {
			t.Errorf("%s through HAProxy: %d", target, status)
		}
	}
}

// One address that opens connections as fast as it can is cut off after 1,000 in 10 s; another one is not.
func TestHAProxyBoundsConnectionRate(t *testing.T) {
	t.Parallel()
	addr := balance(t, nodetest.Start(t, nodetest.Options{App: app, Flags: with()}))
	get := func(from string) error {
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		transport := &http.Transport{DisableKeepAlives: true, DialContext: dialer.DialContext}
		client := http.Client{Transport: transport, Timeout: nodetest.Timeout}
		r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+addr+"/hello.txt", nil)
		if err != nil {
			return err
		}
		answer, err := client.Do(r)
		if err != nil {
			return err
		}
		return answer.Body.Close()
	}
	refused, began := 0, time.Now()
	for n := 1; refused == 0; n++ {
		switch err := get("127.0.0.2"); {
		case err == nil && n > 5000:
			t.Fatalf("%d connections in %v, and none was refused", n, time.Since(began))
		case err != nil && n <= 1000:
			t.Fatalf("connection %d was refused: %v", n, err)
		case err != nil:
			refused = n
		}
	}
	t.Logf("connection %d was refused, %v after the first", refused, time.Since(began))
	if err := get("127.0.0.3"); err != nil {
		t.Errorf("another address is refused too: %v", err)
	}
}
