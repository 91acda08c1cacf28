package egress

import "net/netip"

// global is where addresses of hosts in the Internet are. All of IPv6 outside of 2000::/3 has another purpose:
// loopback, mapped and compatible IPv4, NAT64, unique local, link-local, site-local, multicast, or none yet.
var global = netip.MustParsePrefix("2000::/3")

// notGlobal are the networks with a purpose of their own, as IANA's registries of special-purpose addresses list them
// (RFC 6890), and those that lead to an IPv4 address inside of them.
var notGlobal = prefixes(
	"0.0.0.0/8",        // this network
	"10.0.0.0/8",       // private
	"100.64.0.0/10",    // shared by the customers of a carrier, and metadata of some clouds
	"127.0.0.0/8",      // loopback
	"169.254.0.0/16",   // link-local, and metadata of most clouds
	"172.16.0.0/12",    // private
	"192.0.0.0/24",     // protocols of the IETF, and metadata of some clouds
	"192.0.2.0/24",     // documentation
	"192.88.99.0/24",   // relays of 6to4
	"192.168.0.0/16",   // private
	"198.18.0.0/15",    // benchmarks
	"198.51.100.0/24",  // documentation
	"203.0.113.0/24",   // documentation
	"224.0.0.0/4",      // multicast
	"240.0.0.0/4",      // reserved, and broadcast
	"168.63.129.16/32", // Azure's own services, on each machine there
	"2001::/23",        // protocols of the IETF: Teredo, ORCHID
	"2001:db8::/32",    // documentation
	"2002::/16",        // 6to4: an IPv4 address is inside
	"3fff::/20",        // documentation
)

func prefixes(list ...string) (all []netip.Prefix) {
	for _, s := range list {
		all = append(all, netip.MustParsePrefix(s))
	}
	return all
}

// special tells whether an address is none of a host in the Internet. addr is unmapped.
func special(addr netip.Addr) bool {
	if !addr.IsValid() || addr.Zone() != "" || addr.Is6() && !global.Contains(addr) {
		return true
	}
	for _, p := range notGlobal {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}
