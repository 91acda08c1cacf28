package auth

import (
	"net/http"
	"testing"
)

// SPEC 3: "networks whose X-Forwarded-For and Forwarded are believed".
func TestClientAddress(t *testing.T) {
	p, err := ParseProxies([]string{"10.0.0.0/8", "::1", "192.168.1.1", "fe80::/10", "::ffff:172.16.0.0/108"})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, peer, header, value, want string
	}{
		{"direct", "203.0.113.7:1", "", "", "203.0.113.7:1"},
		{"untrusted peer lies", "203.0.113.7:1", "X-Forwarded-For", "1.2.3.4", "203.0.113.7:1"},
		{"one proxy", "10.1.1.1:9", "X-Forwarded-For", "1.2.3.4", "1.2.3.4"},
		{"client lies to the proxy", "10.1.1.1:9", "X-Forwarded-For", "6.6.6.6, 1.2.3.4", "1.2.3.4"},
		{"two proxies", "10.1.1.1:9", "X-Forwarded-For", "1.2.3.4, 192.168.1.1", "1.2.3.4"},
		{"all trusted", "10.1.1.1:9", "X-Forwarded-For", "10.9.9.9", "10.9.9.9"},
		{"no header", "10.1.1.1:9", "", "", "10.1.1.1:9"},
		{"unknown hop", "10.1.1.1:9", "X-Forwarded-For", "1.2.3.4, unknown", "10.1.1.1:9"},
		{"forwarded", "10.1.1.1:9", "Forwarded", `for=6.6.6.6, for="[2001:db8::1]:4711";proto=http`, "2001:db8::1"},
		{"ipv6 proxy", "[::1]:9", "Forwarded", "for=1.2.3.4", "1.2.3.4"},
		{"element without a client", "10.1.1.1:9", "Forwarded", "for=6.6.6.6, proto=https", "10.1.1.1:9"},
		{"open quote", "10.1.1.1:9", "Forwarded", `for="6.6.6.6, for=1.2.3.4`, "1.2.3.4"},
		{"zone", "[fe80::1%eth0]:9", "X-Forwarded-For", "1.2.3.4", "1.2.3.4"},
		{"mapped network", "172.16.5.5:9", "X-Forwarded-For", "1.2.3.4", "1.2.3.4"},
		{"mapped peer", "[::ffff:10.1.1.1]:9", "X-Forwarded-For", "1.2.3.4", "1.2.3.4"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := &http.Request{RemoteAddr: tt.peer, Header: http.Header{}}
			if tt.header != "" {
				r.Header.Set(tt.header, tt.value)
			}
			if got := p.Client(r); got != tt.want {
				t.Errorf("client = %q, want %q", got, tt.want)
			}
			if got, want := IsForwarded(r.Header), tt.header != ""; got != want {
				t.Errorf("forwarded = %v, want %v", got, want)
			}
		})
	}
	both := []struct {
		name, xff, forwarded, want string
	}{
		{"both agree", "1.2.3.4", "for=1.2.3.4", "1.2.3.4"},
		{"the client made up X-Forwarded-For", "6.6.6.6", "for=1.2.3.4", "10.1.1.1:9"},
		{"the client made up Forwarded", "1.2.3.4", "for=6.6.6.6", "10.1.1.1:9"},
	}
	for _, tt := range both {
		t.Run(tt.name, func(t *testing.T) {
			r := &http.Request{RemoteAddr: "10.1.1.1:9",
				Header: http.Header{"X-Forwarded-For": {tt.xff}, "Forwarded": {tt.forwarded}}}
			if got := p.Client(r); got != tt.want {
				t.Errorf("client = %q, want %q", got, tt.want)
			}
		})
	}
	if _, err := ParseProxies([]string{"lan"}); err == nil {
		t.Error("a bad network was taken")
	}
}

func TestIsLoopback(t *testing.T) {
	for addr, want := range map[string]bool{"127.0.0.1:1": true, "127.8.8.8:1": true, "[::1]:1": true,
		"[::ffff:127.0.0.1]:1": true, "10.0.0.1:1": false, "": false} {
		if got := IsLoopback(addr); got != want {
			t.Errorf("IsLoopback(%q) = %v", addr, got)
		}
	}
}
