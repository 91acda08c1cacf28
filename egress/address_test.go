package egress

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

func TestCheck(t *testing.T) {
	header := func(name, value string) Request {
		return Request{Method: "GET", Header: http.Header{name: {value}}}
	}
	many := Request{Method: "GET", Header: http.Header{"X-A": make([]string, maxHeaders+1)}}
	for want, r := range map[string]Request{
		"method must be one of":               {Method: "CONNECT"},
		`not "G ET"`:                          {Method: "G ET"},
		"body is longer":                      {Method: "POST", Body: make([]byte, MaxBody+1)},
		"headers are more than 64, or longer": many,
		"longer than 16384 bytes":             header("X-A", strings.Repeat("x", maxHeader)),
		`"X A" is no name`:                    header("X A", ""),
		`"" is no name`:                       header("", ""),
		`"X:" is no name`:                     header("X:", ""),
		`"X\r\nY" is no name`:                 header("X\r\nY", ""),
		"X-A has a control character":         header("X-A", "a\r\nHost: evil"),
		"X-B has a control character":         header("X-B", "a\x00"),
		"host cannot be set":                  header("host", "evil"),
		"Connection cannot be set":            header("Connection", "close"),
		"Transfer-Encoding cannot be set":     header("Transfer-Encoding", "chunked"),
		"content-length cannot be set":        header("content-length", "1"),
		"Upgrade cannot be set":               header("Upgrade", "websocket"),
		"Proxy-Authorization cannot be set":   header("Proxy-Authorization", "x"),
	} {
		if err := r.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
	for _, r := range []Request{{Method: "GET"}, header("X-A", "ä\t"), {Method: "POST", Body: make([]byte, MaxBody)}} {
		if err := r.Check(); err != nil {
			t.Error(err)
		}
	}
}

// dns is a resolver whose answers for names are those of f: the address of the nth question for a name.
func dns(t *testing.T, f func(name string, n int) []net.IP) *net.Resolver {
	var mu sync.Mutex
	asked := map[string]int{}
	answer := func(q []byte) []byte {
		name, i := "", 12
		for q[i] != 0 {
			name += string(q[i+1:i+1+int(q[i])]) + "."
			i += 1 + int(q[i])
		}
		kind := binary.BigEndian.Uint16(q[i+1:])
		mu.Lock()
		n := asked[name]
		if kind == 1 {
			asked[name]++
		}
		mu.Unlock()
		out := append([]byte(nil), q[:i+5]...)
		out[2], out[3] = 0x81, 0x80
		binary.BigEndian.PutUint32(out[8:], 0) // no other sections
		count := uint16(0)
		for _, ip := range f(name, n) {
			v4 := ip.To4()
			if kind == 1 && v4 != nil && len(ip) == 4 {
				out, count = append(append(out, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4), v4...), count+1
			}
			if kind == 28 && len(ip) == 16 {
				out, count = append(append(out, 0xc0, 12, 0, 28, 0, 1, 0, 0, 0, 0, 0, 16), ip...), count+1
			}
		}
		binary.BigEndian.PutUint16(out[6:], count)
		return out
	}
	return &net.Resolver{PreferGo: true, StrictErrors: true,
		Dial: func(context.Context, string, string) (net.Conn, error) {
			here, there := net.Pipe()
			go func() {
				defer there.Close()
				for { // as over TCP, with the length before each message
					var length [2]byte
					if _, err := io.ReadFull(there, length[:]); err != nil {
						return
					}
					q := make([]byte, binary.BigEndian.Uint16(length[:]))
					if _, err := io.ReadFull(there, q); err != nil {
						return
					}
					a := answer(q)
					if _, err := there.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(a))), a...)); err != nil {
						return
					}
				}
			}()
			return here, nil
		}}
}

// SPEC 11: "Private addresses only if named there as addresses, checked on the address dialled". The name is allowed,
// and resolves to what is not; also when it resolved to something else a moment before.
func TestNamesThatResolveToPrivateAddresses(t *testing.T) {
	here := net.IPv4(127, 0, 0, 1).To4()
	resolver := dns(t, func(name string, n int) []net.IP {
		switch name {
		case "loopback.example.":
			return []net.IP{here}
		case "mapped.example.":
			return []net.IP{here.To16()}
		case "six.example.":
			return []net.IP{net.IPv6loopback}
		case "meta.example.":
			return []net.IP{net.IPv4(169, 254, 169, 254).To4()}
		case "any.example.":
			return []net.IP{net.IPv4zero.To4()}
		case "rebinding.example.":
			if n == 0 {
				return []net.IP{here}
			}
			return []net.IP{net.IPv4(127, 0, 0, 2).To4()}
		}
		return nil
	})
	names := []string{"*.example"}
	b := startBackEnd(t, Config{Allow: allow(t, names...), Resolver: resolver},
		func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "reached as "+r.Host) })
	port := b.URL[strings.LastIndex(b.URL, ":"):]
	url := func(name string) *Request { return &Request{Method: "GET", URL: "http://" + name + ".example" + port} }
	for _, name := range []string{"loopback", "mapped", "six", "meta", "any"} {
		got := b.fetch(t.Context(), url(name))
		contains(t, got, "refused: the host has the address ")
		contains(t, got, "not on the list of --http-allow")
	}
	contains(t, b.fetch(t.Context(), url("nothing")), "unreachable: the name nothing.example")
	if b.asked.Load() != 0 {
		t.Fatal("the server was reached")
	}
	named := New(Config{Allow: allow(t, append(names, "127.0.0.1")...), Resolver: resolver})
	defer named.Close()
	same(t, fetch(t.Context(), named, url("loopback")), "200 reached as loopback.example"+port)
	same(t, fetch(t.Context(), named, url("rebinding")), "200 reached as rebinding.example"+port)
	named.transport.CloseIdleConnections()
	contains(t, fetch(t.Context(), named, url("rebinding")), "refused: the host has the address 127.0.0.2"+port)
}
