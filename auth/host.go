package auth

import (
	"net"
	"net/netip"
	"strings"
)

// HostName is the name, or the address, in the Host field of a request: without port and brackets, in lower case.
func HostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.Trim(host, "[]"))
}

// IsLocalHost tells that a Host field names this machine and can name no other: localhost, a name below it, a loopback
// address. Whoever owns another name can lead it here (DNS rebinding), and the pages of that name with it.
func IsLocalHost(host string) bool {
	name := HostName(host)
	return name == "localhost" || strings.HasSuffix(name, ".localhost") || IsLoopback(name)
}

// IsAddress tells that a Host field holds an address. Nobody can lead it elsewhere.
func IsAddress(host string) bool {
	_, err := netip.ParseAddr(HostName(host))
	return err == nil
}
