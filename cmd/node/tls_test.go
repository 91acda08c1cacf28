package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rollcall/cluster"
	"rollcall/testkit"
	"rollcall/testkit/nodetest"
)

func put(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// alike makes a PEM file of a length and a time that others share, so that only the file itself tells them apart.
func alike(t *testing.T, path string, data []byte) {
	t.Helper()
	const length = 2000
	put(t, path, append(data[:len(data):len(data)], bytes.Repeat([]byte("\n"), length-len(data))...))
	if err := os.Chtimes(path, time.Unix(1e9, 0), time.Unix(1e9, 0)); err != nil {
		t.Fatal(err)
	}
}

// swap leads a symbolic link elsewhere in one step, as Kubernetes and certbot do.
func swap(t *testing.T, link, target string) {
	t.Helper()
	fresh := link + ".new"
	if err := os.Symlink(target, fresh); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(fresh, link); err != nil {
		t.Fatal(err)
	}
}

// A certificate is read again when its files change, in whatever way; a pair that is wrong changes nothing and is told
// once.
func TestCertificateReload(t *testing.T) {
	dir := t.TempDir()
	certs := []*nodetest.Certificate{nodetest.NewCertificate(t), nodetest.NewCertificate(t)}
	path := func(parts ...string) string { return filepath.Join(append([]string{dir}, parts...)...) }
	for i, c := range certs { // as a mounted Kubernetes secret: tls.crt -> ..data/tls.crt, ..data -> one of the folders
		if err := os.Mkdir(path(fmt.Sprint("v", i)), 0o700); err != nil {
			t.Fatal(err)
		}
		alike(t, path(fmt.Sprint("v", i), "crt"), c.Cert)
		alike(t, path(fmt.Sprint("v", i), "key"), c.Key)
	}
	swap(t, path("data"), "v0")
	swap(t, path("crt"), "data/crt")
	swap(t, path("key"), "data/key")
	var log nodetest.Log
	c, err := openCertificate(path("crt"), path("key"), slog.New(slog.NewJSONHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	lines := 0
	step := func(name string, after time.Duration, want int, says string) {
		t.Helper()
		now = now.Add(after)
		if got := c.get(now).Leaf.SerialNumber; got.Cmp(certs[want].Serial) != 0 {
			t.Errorf("%s: not certificate %d", name, want)
		}
		more := log.Lines()[lines:]
		lines += len(more)
		if says == "" && len(more) > 0 || says != "" && (len(more) != 1 || !strings.Contains(nodetest.JSON(more[0]), says)) {
			t.Errorf("%s: it logged %v, want %q", name, more, says)
		}
	}
	step("as opened", lookAtCertificate, 0, "")
	swap(t, path("data"), "v1")
	step("too soon", lookAtCertificate-1, 0, "")
	step("the folder was swapped", 1, 1, "read again")
	step("no change", lookAtCertificate, 1, "")
	swap(t, path("data"), "v0")
	step("and back", lookAtCertificate, 0, "read again")
	put(t, path("new"), certs[1].Cert)
	if err := os.Rename(path("new"), path("crt")); err != nil {
		t.Fatal(err)
	}
	step("one file of two was renamed", lookAtCertificate, 0, "--tls-cert, --tls-key")
	step("told once", lookAtCertificate, 0, "")
	put(t, path("new"), certs[1].Key)
	if err := os.Rename(path("new"), path("key")); err != nil {
		t.Fatal(err)
	}
	step("and the other", lookAtCertificate, 1, "read again")
	put(t, path("crt"), []byte("no certificate"))
	step("nonsense", lookAtCertificate, 1, "ERROR")
	if err := os.Remove(path("key")); err != nil {
		t.Fatal(err)
	}
	step("gone", lookAtCertificate, 1, "--tls-key")
	step("gone, told once", lookAtCertificate, 1, "")
	put(t, path("crt"), certs[0].Cert)
	put(t, path("key"), certs[0].Key)
	step("written in place", lookAtCertificate, 0, "read again")
	c.busy.Store(true)
	put(t, path("crt"), certs[1].Cert)
	put(t, path("key"), certs[1].Key)
	step("somebody looks already", time.Hour, 0, "")
}

// startTLS starts a node with TLS in the test's process.
func startTLS(t *testing.T, c *nodetest.Certificate, args ...string) (n *node, dir string) {
	t.Helper()
	dir = write(t, map[string]string{"crt": string(c.Cert), "key": string(c.Key)})
	args = append([]string{"--app", testApp, "--drain", "0s", "--tls-cert", filepath.Join(dir, "crt"), "--tls-key",
		filepath.Join(dir, "key")}, args...)
	n, err := start(t.Context(), configOf(t, args...), cluster.NewProcess(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.close)
	testkit.Within(t, "readiness", nodetest.Timeout, func() bool { return n.ready() == nil })
	return n, dir
}

// What the TLS listener takes and refuses: TLS 1.2 and newer, HTTP/1.1 alone, and no plain HTTP.
func TestTLSListener(t *testing.T) {
	cert := nodetest.NewCertificate(t)
	n, _ := startTLS(t, cert)
	addr := n.ln.Addr().String()
	for _, tt := range []struct {
		name     string
		min, max uint16
		protos   []string
		want     string // the protocol agreed on; "error": none
	}{
		{"1.0", tls.VersionTLS10, tls.VersionTLS10, nil, "error"},
		{"1.1", tls.VersionTLS10, tls.VersionTLS11, nil, "error"},
		{"1.2", tls.VersionTLS12, tls.VersionTLS12, nil, ""},
		{"1.3", tls.VersionTLS13, tls.VersionTLS13, nil, ""},
		{"a browser", 0, 0, []string{"h2", "http/1.1"}, "http/1.1"},
		{"HTTP/2 alone", 0, 0, []string{"h2"}, "error"},
	} {
		conn, err := tls.Dial("tcp", addr,
			&tls.Config{RootCAs: cert.Pool, MinVersion: tt.min, MaxVersion: tt.max, NextProtos: tt.protos})
		got := "error"
		if err == nil {
			got = conn.ConnectionState().NegotiatedProtocol
			_ = conn.Close()
		}
		if got != tt.want {
			t.Errorf("%s: %s (%v), want %s", tt.name, got, err, tt.want)
		}
	}
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(nodetest.Timeout))
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != http.StatusBadRequest {
		t.Errorf("plain HTTP: %v, %v", resp, err)
	}
	_, port, _ := net.SplitHostPort(addr)
	if code, _, stderr := runNode(t, "health", "--listen", ":"+port); code != 0 {
		t.Errorf("rollcall health: %d %s", code, stderr)
	}
	n.draining.Store(true)
	if code, _, stderr := runNode(t, "health", "--listen", ":"+port); code != 1 || !strings.Contains(stderr, "not ready") {
		t.Errorf("rollcall health of a node that drains: %d %s", code, stderr)
	}
}

// SPEC 3: "Bad configuration: exit 2 and one line that names the flag and the mend".
func TestBadTLSFlags(t *testing.T) {
	one, other := nodetest.NewCertificate(t), nodetest.NewCertificate(t)
	dir := write(t, map[string]string{"crt": string(one.Cert), "key": string(one.Key), "other": string(other.Key),
		"none": "no PEM"})
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, tt := range []struct {
		name, cert, key string
		flag, says      string
	}{
		{"no key", in("crt"), "", "--tls-key", "give both or none"},
		{"no certificate", "", in("key"), "--tls-cert", "give both or none"},
		{"certificate missing", in("x"), in("key"), "--tls-cert", "name a file"},
		{"key missing", in("crt"), in("x"), "--tls-key", "name a file"},
		{"a folder", dir, in("key"), "--tls-cert", "name a file that can be read"},
		{"the key is a folder", in("crt"), dir, "--tls-key", "name a file that can be read"},
		{"another's key", in("crt"), in("other"), "--tls-key", "the key it was made for"},
		{"no PEM", in("none"), in("key"), "--tls-cert", "PEM"},
		{"swapped", in("key"), in("crt"), "--tls-cert", "PEM"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, stdout, stderr := runNode(t, "--app", testApp, "--listen", "127.0.0.1:0", "--tls-cert", tt.cert, "--tls-key",
				tt.key)
			if code != 2 || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, tt.flag) ||
				!strings.Contains(stderr, tt.says) || stdout != "" {
				t.Errorf("exit code %d, and it says\n%s%swant 2 and one line with %s and %q", code, stdout, stderr, tt.flag,
					tt.says)
			}
		})
	}
}
