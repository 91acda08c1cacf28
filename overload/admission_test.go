package overload

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var now = time.Now()

// SPEC 3: --max-connections, --max-connections-per-ip: "0 (no limit) | 503 with Retry-After; 429"; each at, under and
// over.
func TestAdmission(t *testing.T) {
	a, b := ParseAddress("192.0.2.1"), ParseAddress("192.0.2.2")
	for _, tt := range []struct {
		name         string
		total, perIP int
		open         []netip.Prefix // before
		from         netip.Prefix
		want         Reason
	}{
		{"no limit", 0, 0, []netip.Prefix{a, a, a, a}, a, ""},
		{"under the total", 3, 0, []netip.Prefix{a}, a, ""},
		{"at the total with this one", 2, 0, []netip.Prefix{a}, a, ""},
		{"over the total", 2, 0, []netip.Prefix{a, b}, a, Connections},
		{"under for the address", 0, 3, []netip.Prefix{a}, a, ""},
		{"at the limit of the address", 0, 2, []netip.Prefix{a, b, b}, a, ""},
		{"over for the address", 0, 2, []netip.Prefix{a, a}, a, PerAddress},
		{"another address", 0, 2, []netip.Prefix{a, a}, b, ""},
		{"over both", 2, 2, []netip.Prefix{a, a}, a, Connections}, // another node may take it
		{"over for the address alone", 3, 2, []netip.Prefix{a, a}, a, PerAddress},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ad := NewAdmission(Config{Connections: tt.total, PerAddress: tt.perIP})
			for _, from := range tt.open {
				if why := ad.Enter(now, Client{Address: from}); why != "" {
					t.Fatalf("already refused: %s", why)
				}
			}
			if got := ad.Enter(now, Client{Address: tt.from}); got != tt.want {
				t.Fatalf("refused with %q, want %q", got, tt.want)
			}
			if tt.want == "" {
				ad.Leave(Client{Address: tt.from})
			}
			for _, from := range tt.open {
				ad.Leave(Client{Address: from})
			}
			if ad.open != 0 || len(ad.from) != 0 {
				t.Errorf("after all have left: %d open, %d addresses", ad.open, len(ad.from))
			}
		})
	}
}

// The counts never drift, whatever comes and goes: they are those of a plain list of who is in.
func TestAdmissionCounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ad := NewAdmission(Config{Connections: rapid.IntRange(0, 8).Draw(t, "total"),
			PerAddress: rapid.IntRange(0, 3).Draw(t, "per address")})
		var in []netip.Prefix
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if len(in) > 0 && rapid.Bool().Draw(t, "leave") {
				i := rapid.IntRange(0, len(in)-1).Draw(t, "who")
				ad.Leave(Client{Address: in[i]})
				in = append(in[:i], in[i+1:]...)
			} else {
				from := ParseAddress(fmt.Sprint("10.0.0.", rapid.IntRange(1, 4).Draw(t, "from")))
				same := 0
				for _, p := range in {
					if p == from {
						same++
					}
				}
				var want Reason
				switch {
				case ad.cfg.Connections > 0 && len(in) == ad.cfg.Connections:
					want = Connections
				case ad.cfg.PerAddress > 0 && same == ad.cfg.PerAddress:
					want = PerAddress
				}
				if got := ad.Enter(now, Client{Address: from}); got != want {
					t.Fatalf("with %v in, %v is refused with %q, want %q", in, from, got, want)
				}
				if want == "" {
					in = append(in, from)
				}
			}
			if open, _, err := ad.Check(); open != len(in) || err != nil {
				t.Fatalf("%d are in, want %d: %v", open, len(in), err)
			}
		}
	})
}

// SPEC 3: sockets count from the moment they are accepted; there are some more of them than connections.
func TestAccept(t *testing.T) {
	a, b := ParseAddress("192.0.2.1"), ParseAddress("192.0.2.2")
	for _, tt := range []struct {
		name          string
		limits        Config
		open, plain   int // of a
		others, proxy bool
		want          Reason
	}{
		{"no limit", Config{}, 5000, 5000, false, false, ""},
		{"a spare one", Config{Connections: 4}, 4, 15, false, false, ""},
		{"none to spare", Config{Connections: 4}, 4, 16, false, false, Connections},
		{"silent ones alone", Config{Connections: 4}, 0, 20, false, false, Connections},
		{"a tenth to spare", Config{Connections: 1000}, 1000, 99, false, false, ""},
		{"no more than a tenth", Config{Connections: 1000}, 1000, 100, false, false, Connections},
		{"of one address", Config{PerAddress: 2}, 2, 15, false, false, ""},
		{"too many of one address", Config{PerAddress: 2}, 2, 16, false, false, PerAddress},
		{"of another", Config{PerAddress: 2}, 2, 16, true, false, ""},
		{"of a proxy", Config{PerAddress: 2}, 2, 500, false, true, ""},
		{"files", Config{Sockets: 50}, 20, 30, false, true, Files},
		{"files first", Config{Sockets: 20, Connections: 4, PerAddress: 4}, 0, 20, false, false, Files},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ad := NewAdmission(tt.limits)
			for range tt.open {
				_ = ad.Enter(now, Client{Address: a})
			}
			for range tt.plain {
				if why := ad.Accept(a, tt.proxy); why != "" {
					t.Fatalf("already refused: %s", why)
				}
			}
			from := a
			if tt.others {
				from = b
			}
			if got := ad.Accept(from, tt.proxy); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
			if tt.want == "" {
				ad.Release(from, tt.proxy)
			}
			for range tt.plain {
				ad.Release(a, tt.proxy)
			}
			if ad.plain != 0 || len(ad.plainFrom) != 0 {
				t.Errorf("after all have gone: %d, %v", ad.plain, ad.plainFrom)
			}
		})
	}
}

// SPEC 3, --max-connections-per-user: "users of tokens: 429", each at, under and over; nobody's connections are not
// counted.
func TestPerUser(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(0, 3).Draw(t, "limit")
		ad := NewAdmission(Config{PerUser: limit})
		in := map[string]int{}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			user := rapid.SampledFrom([]string{"", "ann", "bob"}).Draw(t, "user")
			if in[user] > 0 && rapid.Bool().Draw(t, "leaves") {
				ad.Leave(Client{User: user})
				in[user]--
				continue
			}
			want := Reason("")
			if limit > 0 && user != "" && in[user] == limit {
				want = PerUser
			}
			if got := ad.Enter(now, Client{User: user}); got != want {
				t.Fatalf("%v are in, %q is refused with %q, want %q", in, user, got, want)
			}
			if want == "" {
				in[user]++
			}
		}
		for user, n := range in {
			for range n {
				ad.Leave(Client{User: user})
			}
		}
		if ad.open != 0 || len(ad.users) != 0 {
			t.Errorf("after all have left: %d open, %v", ad.open, ad.users)
		}
	})
}

// SPEC 3: "The address counts as seen through --trusted-proxies"; one IPv6 host has a whole /64.
func TestAddress(t *testing.T) {
	for _, tt := range []struct{ one, other string }{
		{"192.0.2.1", "192.0.2.1"}, {"192.0.2.1", "::ffff:192.0.2.1"}, {"2001:db8::1", "2001:db8::2"}, {"2001:db8::1",
			"2001:db8:0:0:ffff:ffff:ffff:ffff"},
		{"fe80::1%eth0", "fe80::2%eth1"}, {"unknown", ""}, {"::1", "0:0:0:0::1"},
	} {
		if ParseAddress(tt.one) != ParseAddress(tt.other) {
			t.Errorf("%s and %s count apart", tt.one, tt.other)
		}
	}
	for _, tt := range []struct{ one, other string }{
		{"192.0.2.1", "192.0.2.2"}, {"2001:db8::1", "2001:db8:0:1::1"}, {"unknown", "192.0.2.1"}, {"0.0.0.0", ""}, {"::",
			""}, {"::", "0.0.0.0"},
	} {
		if ParseAddress(tt.one) == ParseAddress(tt.other) {
			t.Errorf("%s and %s count as one", tt.one, tt.other)
		}
	}
}
