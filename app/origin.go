package app

import (
	"fmt"
	"net"
	"net/url"
	"strings"
)

// originAllowed decides SPEC 4: no Origin is allowed (no browser); "null" never; the host that was asked (host and
// port) always; else only what the list names, "*" naming all. Entries of the list are as normalOrigin makes them.
func originAllowed(origin, host string, tls bool, allowed []string) bool {
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil || origin == "null" || u.Scheme == "" || u.Host == "" {
		return false
	}
	if hostPort(u.Host, u.Scheme) == hostPort(host, hostScheme(u.Scheme, tls)) {
		return true
	}
	normal := strings.ToLower(u.Scheme) + "://" + withoutDefaultPort(u.Host, u.Scheme)
	for _, a := range allowed {
		if a == "*" || a == normal {
			return true
		}
	}
	return false
}

// hostScheme is the scheme whose usual port a Host header without a port means. A balancer may have ended TLS before
// the node, so without TLS here it is the origin's own.
func hostScheme(origin string, tls bool) string {
	if tls {
		return "https"
	}
	return origin
}

// hostPort writes a host always with its port.
func hostPort(host, scheme string) string {
	host = withoutDefaultPort(host, scheme)
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	switch strings.ToLower(scheme) {
	case "https", "wss":
		return host + ":443"
	}
	return host + ":80"
}

func withoutDefaultPort(host, scheme string) string {
	host = strings.ToLower(host)
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		return host
	}
	switch strings.ToLower(scheme) + ":" + port {
	case "http:80", "https:443", "ws:80", "wss:443":
		if strings.Contains(name, ":") {
			return "[" + name + "]"
		}
		return name
	}
	return host
}

// normalOrigin checks one entry of a list of origins: "*", or "https://host" with a port where it is not the usual one.
func normalOrigin(s string) (string, error) {
	if s == "*" {
		return s, nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" || u.Host == "" || strings.Contains(u.Host, "*") ||
		strings.TrimSuffix(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return "", fmt.Errorf("%q is no origin; write it like \"https://example.com\", or \"*\" for all", s)
	}
	return strings.ToLower(u.Scheme) + "://" + withoutDefaultPort(u.Host, u.Scheme), nil
}

// ParseOrigins checks a global list of allowed origins, as Config.AllowedOrigins takes it.
func ParseOrigins(list []string) ([]string, error) {
	out := make([]string, 0, len(list))
	for _, s := range list {
		o, err := normalOrigin(strings.TrimSpace(s))
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}
