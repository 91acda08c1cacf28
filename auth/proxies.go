package auth

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Proxies are the networks whose word about a client's address is believed (SPEC 3, --trusted-proxies).
type Proxies []netip.Prefix

// ParseProxies reads networks ("10.0.0.0/8") and single addresses.
func ParseProxies(texts []string) (Proxies, error) {
	var p Proxies
	for _, t := range texts {
		if a, err := netip.ParseAddr(t); err == nil {
			p = append(p, netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()))
			continue
		}
		n, err := netip.ParsePrefix(t)
		if err != nil {
			return nil, fmt.Errorf("%q is no network, such as 10.0.0.0/8, and no address", t)
		}
		p = append(p, n.Masked())
	}
	return p, nil
}

func (p Proxies) trust(a netip.Addr) bool {
	for _, n := range p {
		if n.Contains(a.Unmap()) {
			return true
		}
	}
	return false
}

// Client is the address (host:port, or a host alone when a proxy named it) of the nearest party that is no trusted proxy.
// X-Forwarded-For is read from its end, Forwarded (RFC 7239, 7.4) likewise; what an untrusted peer says of itself does not count.
func (p Proxies) Client(r *http.Request) string {
	if len(p) == 0 {
		return r.RemoteAddr
	}
	peer, ok := addrOf(r.RemoteAddr)
	if !ok || !p.trust(peer) {
		return r.RemoteAddr
	}
	hops := forwarded(r.Header)
	client := r.RemoteAddr
	for i := len(hops) - 1; i >= 0; i-- {
		a, ok := addrOf(hops[i])
		if !ok {
			break // "unknown" or an obfuscated name: nothing before it can be believed
		}
		client = a.String()
		if !p.trust(a) {
			break
		}
	}
	return client
}

// IsForwarded tells that a request says it came through a proxy.
func IsForwarded(h http.Header) bool {
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Via"} {
		if len(h.Values(name)) > 0 {
			return true
		}
	}
	return false
}

// IsLoopback tells that a peer address (host:port) is of this machine.
func IsLoopback(remoteAddr string) bool {
	a, ok := addrOf(remoteAddr)
	return ok && a.Unmap().IsLoopback()
}

// forwarded lists the hops, the client first.
func forwarded(h http.Header) []string {
	var hops []string
	if xff := h.Values("X-Forwarded-For"); len(xff) > 0 {
		for part := range strings.SplitSeq(strings.Join(xff, ","), ",") {
			hops = append(hops, strings.TrimSpace(part))
		}
		return hops
	}
	for element := range strings.SplitSeq(strings.Join(h.Values("Forwarded"), ","), ",") {
		for pair := range strings.SplitSeq(element, ";") {
			name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
			if strings.EqualFold(name, "for") {
				hops = append(hops, strings.Trim(value, `"`))
			}
		}
	}
	return hops
}

// addrOf reads an address with or without port, IPv6 with or without brackets.
func addrOf(s string) (netip.Addr, bool) {
	if host, _, err := net.SplitHostPort(s); err == nil {
		s = host
	}
	a, err := netip.ParseAddr(strings.Trim(s, "[]"))
	return a.Unmap(), err == nil
}
