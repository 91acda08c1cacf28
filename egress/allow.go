package egress

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// Allow is the list of hosts that may be asked. The zero value allows none. It never changes.
type Allow struct {
	names    map[string]ports // "api.example.com"
	domains  map[string]ports // "example.com" for *.example.com
	networks []network        // addresses too
}

// ports are those that may be asked on a host; all when any is set.
type ports struct {
	any  bool
	some []uint16
}

// network is a network, or one address, with the port that may be asked there; 0: all.
type network struct {
	netip.Prefix
	port uint16
}

// ParseAllow reads hosts, each as host, host:port, *.domain, *.domain:port, an address, address:port (an IPv6 address
// in brackets then), or a network. Its error names the first one that is none of them.
func ParseAllow(list []string) (Allow, error) {
	a := Allow{names: map[string]ports{}, domains: map[string]ports{}}
	for _, text := range list {
		if err := a.add(strings.TrimSpace(text)); err != nil {
			return Allow{}, err
		}
	}
	return a, nil
}

func (a *Allow) add(text string) error {
	if strings.Contains(text, "%") {
		return fmt.Errorf("%q: an address with a zone cannot be allowed", text)
	}
	if prefix, err := netip.ParsePrefix(text); err == nil {
		return a.addNetwork(text, prefix, 0)
	}
	bare := text
	if strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]") {
		bare = text[1 : len(text)-1]
	}
	if addr, err := netip.ParseAddr(bare); err == nil {
		return a.addNetwork(text, netip.PrefixFrom(addr, addr.BitLen()), 0)
	}
	if at, err := netip.ParseAddrPort(text); err == nil && at.Port() != 0 {
		return a.addNetwork(text, netip.PrefixFrom(at.Addr(), at.Addr().BitLen()), at.Port())
	}
	name, port, hasPort := strings.Cut(text, ":")
	at := uint64(0)
	if hasPort {
		var err error
		if at, err = strconv.ParseUint(port, 10, 16); err != nil || at == 0 {
			return fmt.Errorf("%q has no port from 1 to 65535 behind the colon", text)
		}
	}
	domain, wild := strings.CutPrefix(name, "*.")
	domain, ok := hostName(domain)
	if !ok {
		return fmt.Errorf("%q is no host: give host, host:port, *.domain, an address or a network", text)
	}
	to := a.names
	if wild {
		to = a.domains
	}
	p := to[domain]
	p.any = p.any || !hasPort
	p.some = append(p.some, uint16(at))
	to[domain] = p
	return nil
}

func (a *Allow) addNetwork(text string, p netip.Prefix, port uint16) error {
	if addr := p.Addr(); addr.Is4In6() {
		if p.Bits() < 96 {
			return fmt.Errorf("%q: give IPv4 networks as such", text)
		}
		p = netip.PrefixFrom(addr.Unmap(), p.Bits()-96)
	}
	a.networks = append(a.networks, network{p.Masked(), port})
	return nil
}

// Empty tells whether nothing is allowed.
func (a Allow) Empty() bool { return len(a.names)+len(a.domains)+len(a.networks) == 0 }

func (p ports) has(port uint16) bool {
	for _, some := range p.some {
		if some == port {
			return true
		}
	}
	return p.any
}

// name tells whether a host name may be asked on a port. The domain *.example.com has the names below it.
func (a Allow) name(name string, port uint16) bool {
	if a.names[name].has(port) {
		return true
	}
	for {
		_, parent, ok := strings.Cut(name, ".")
		if !ok {
			return false
		}
		if a.domains[parent].has(port) {
			return true
		}
		name = parent
	}
}

// address tells whether an address is named, as such or in a network.
func (a Allow) address(at netip.AddrPort) bool {
	addr := at.Addr().Unmap()
	for _, n := range a.networks {
		if n.Contains(addr) && (n.port == 0 || n.port == at.Port()) {
			return true
		}
	}
	return false
}

// dial tells whether a connection to an address may be made, for a host that may be asked.
func (a Allow) dial(at netip.AddrPort) bool { return !special(at.Addr().Unmap()) || a.address(at) }

// target is the host that a URL names, and how it is asked.
type target struct {
	url *url.URL // without fragment, its host as it is on the list
	key string   // scheme, name and port, for what is kept about a host
}

// maxURL is how long a URL may be, in bytes.
const maxURL = 8 << 10

// target reads a URL and tells whether its host may be asked. Errors are fit for who gave the URL.
func (a Allow) target(text string) (target, error) {
	if len(text) > maxURL {
		return target{}, fmt.Errorf("the URL is longer than %d bytes", maxURL)
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		var e *url.Error
		if errors.As(err, &e) {
			err = e.Err
		}
		return target{}, fmt.Errorf("the URL is not valid: %w", err)
	case u.Scheme != "http" && u.Scheme != "https":
		return target{}, errors.New("the URL must begin with http:// or https://")
	case u.Opaque != "" || u.Host == "":
		return target{}, errors.New("the URL names no host")
	case u.User != nil:
		return target{}, errors.New("the URL must not hold a user name or password")
	}
	host, port, err := hostPort(u)
	if err != nil {
		return target{}, err
	}
	var allowed bool
	if addr, err := netip.ParseAddr(host); err == nil {
		if addr.Zone() != "" {
			return target{}, errors.New("the URL names an address with a zone")
		}
		host = addr.Unmap().String()
		allowed = a.address(netip.AddrPortFrom(addr, port))
	} else {
		name, ok := hostName(host)
		if !ok {
			return target{}, fmt.Errorf("%q is no name of a host", host)
		}
		host = name
		allowed = a.name(name, port)
	}
	where := net.JoinHostPort(host, strconv.Itoa(int(port)))
	if !allowed {
		return target{}, fmt.Errorf("%s is not on the list of --http-allow", where)
	}
	if port == defaultPort(u.Scheme) {
		u.Host = strings.TrimSuffix(where, ":"+strconv.Itoa(int(port)))
	} else {
		u.Host = where
	}
	u.Fragment, u.RawFragment = "", ""
	return target{u, u.Scheme + "://" + where}, nil
}

func defaultPort(scheme string) uint16 {
	if scheme == "https" {
		return 443
	}
	return 80
}

// hostPort takes the host of a URL apart.
func hostPort(u *url.URL) (host string, port uint16, err error) {
	port = defaultPort(u.Scheme)
	if text := u.Port(); text != "" {
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil || n == 0 {
			return "", 0, fmt.Errorf("the URL has the port %q", text)
		}
		port = uint16(n)
	}
	return u.Hostname(), port, nil
}

// hostName brings a name into the form of the list: lower case, without the dot of the root. false: it is none. What
// some resolvers take for an address ("127.1", "0x7f000001") is none.
func hostName(s string) (name string, ok bool) {
	s = strings.ToLower(strings.TrimSuffix(s, "."))
	if s == "" || len(s) > 253 {
		return "", false
	}
	last := ""
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" ||
			label[0] == '-' || label[len(label)-1] == '-' {
			return "", false
		}
		last = label
	}
	return s, strings.Trim(last, "0123456789") != "" && !strings.HasPrefix(last, "0x")
}
