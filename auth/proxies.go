package auth

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
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
		if a := n.Addr(); a.Is4In6() && n.Bits() >= 96 {
			n = netip.PrefixFrom(a.Unmap(), n.Bits()-96)
		}
		p = append(p, n.Masked())
	}
	return p, nil
}

// Trust tells whether an address, as netip.Addr.Unmap gives it, is a proxy's.
func (p Proxies) Trust(a netip.Addr) bool {
	for _, n := range p {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// Client is the address (host:port, or a host alone when a proxy named it) of the nearest party that is no trusted
// proxy. X-Forwarded-For is read from its end, Forwarded (RFC 7239, 7.4) likewise; what an untrusted peer says of
// itself does not count. A proxy writes one of the two and may pass the other on as the client made it up: when they
// name different clients, neither is believed and the answer is the peer.
func (p Proxies) Client(r *http.Request) string {
	if len(p) == 0 {
		return r.RemoteAddr
	}
	peer, ok := addrOf(r.RemoteAddr)
	if !ok || !p.Trust(peer) {
		return r.RemoteAddr
	}
	xff, standard := r.Header.Values("X-Forwarded-For"), r.Header.Values("Forwarded")
	switch {
	case len(standard) == 0:
		return p.nearest(forwardedFor(xff), r.RemoteAddr)
	case len(xff) == 0:
		return p.nearest(forwarded(standard), r.RemoteAddr)
	}
	if client := p.nearest(forwardedFor(xff), r.RemoteAddr); client == p.nearest(forwarded(standard), r.RemoteAddr) {
		return client
	}
	return r.RemoteAddr
}

// nearest walks hops from the last one, which the peer has written.
func (p Proxies) nearest(hops []string, peer string) string {
	client := peer
	for _, hop := range slices.Backward(hops) {
		a, ok := addrOf(hop)
		if !ok {
			break // "unknown" or an obfuscated name: nothing before it can be believed
		}
		client = a.String()
		if !p.Trust(a) {
			break
		}
	}
	return client
}

// IsForwarded tells that a request says it came through a proxy.
func IsForwarded(h http.Header) bool {
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip",
		"Via"} {
		if len(h.Values(name)) > 0 {
			return true
		}
	}
	return false
}

// IsLoopback tells that a peer address (host:port) is of this machine.
func IsLoopback(remoteAddr string) bool {
	a, ok := addrOf(remoteAddr)
	return ok && a.IsLoopback()
}

// forwardedFor lists the hops of X-Forwarded-For, the client first.
func forwardedFor(values []string) []string {
	var hops []string
	for part := range strings.SplitSeq(strings.Join(values, ","), ",") {
		hops = append(hops, strings.TrimSpace(part))
	}
	return hops
}

// forwarded lists the hops of Forwarded, the client first. An element that names no client is a hop too, an unknown
// one. Quotes do not hide commas: else an open quote of the client would swallow what the proxy has written behind it.
func forwarded(values []string) []string {
	var hops []string
	for element := range strings.SplitSeq(strings.Join(values, ","), ",") {
		if strings.TrimSpace(element) == "" {
			continue
		}
		hop := ""
		for pair := range strings.SplitSeq(element, ";") {
			name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
			if strings.EqualFold(name, "for") {
				hop = strings.Trim(value, `"`)
			}
		}
		hops = append(hops, hop)
	}
	return hops
}

// addrOf reads an address with or without port, IPv6 with or without brackets. Zones are left out.
func addrOf(s string) (netip.Addr, bool) {
	if host, _, err := net.SplitHostPort(s); err == nil {
		s = host
	}
	a, err := netip.ParseAddr(strings.Trim(s, "[]"))
	return a.Unmap().WithZone(""), err == nil
}
