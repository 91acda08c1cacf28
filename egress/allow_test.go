package egress

import (
	"net/netip"
	"strings"
	"testing"
)

func allow(t *testing.T, list ...string) Allow {
	t.Helper()
	a, err := ParseAllow(list)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// SPEC 11: "--http-allow lists host, host:port, *.domain, addresses and networks"; "a host that is not on it: nil,
// why".
func TestTargets(t *testing.T) {
	a := allow(t, "api.example.com", "ports.example:8080", "ports.example:9090", "*.wild.example", "*.port.example:444",
		"192.0.2.7", "198.51.100.0/24", "10.1.2.3:81", "[2001:db8::1]:82", "2001:db8::2", "2001:db8:1::/48",
		"::ffff:192.0.2.9", "UPPER.example.", " spaced.example ")
	for url, want := range map[string]string{ // "": refused
		"http://api.example.com":                                "http://api.example.com:80",
		"http://api.example.com/x?y#z":                          "http://api.example.com:80",
		"HTTP://API.example.COM./":                              "http://api.example.com:80",
		"https://api.example.com:8443/":                         "https://api.example.com:8443",
		"http://ports.example:8080":                             "http://ports.example:8080",
		"http://ports.example:9090":                             "http://ports.example:9090",
		"http://a.wild.example":                                 "http://a.wild.example:80",
		"http://a.b.wild.example:81":                            "http://a.b.wild.example:81",
		"https://a.port.example:444":                            "https://a.port.example:444",
		"http://192.0.2.7:1":                                    "http://192.0.2.7:1",
		"http://198.51.100.255":                                 "http://198.51.100.255:80",
		"http://10.1.2.3:81":                                    "http://10.1.2.3:81",
		"http://[::ffff:10.1.2.3]:81":                           "http://10.1.2.3:81",
		"http://[::ffff:0a01:0203]:81":                          "http://10.1.2.3:81",
		"http://192.0.2.9":                                      "http://192.0.2.9:80",
		"http://[2001:db8::1]:82":                               "http://[2001:db8::1]:82",
		"http://[2001:db8:0:0:0:0:0:2]/":                        "http://[2001:db8::2]:80",
		"http://[2001:db8:1:ffff::]":                            "http://[2001:db8:1:ffff::]:80",
		"http://upper.example":                                  "http://upper.example:80",
		"http://spaced.example":                                 "http://spaced.example:80",
		"http://example.com":                                    "",
		"http://evil.com/api.example.com":                       "",
		"http://api.example.com.evil.com":                       "",
		"http://xapi.example.com":                               "",
		"http://sub.api.example.com":                            "",
		"http://ports.example":                                  "",
		"http://ports.example:6379":                             "",
		"http://wild.example":                                   "",
		"http://a.port.example":                                 "",
		"http://api.example.com@evil.com/":                      "",
		"http://evil.com#@api.example.com":                      "",
		"http://evil.com\\@api.example.com":                     "",
		"http://evil.com%2f@api.example.com":                    "",
		"http://user:pw@api.example.com":                        "",
		"http://@api.example.com":                               "",
		"http://api.example.com:0":                              "",
		"http://api.example.com:99999":                          "",
		"http://api.example.com:80:80":                          "",
		"http://api..example.com":                               "",
		"http://api.example.com\r\nHost: evil/":                 "",
		"http://api.example.com\x00":                            "",
		"http://аpi.example.com":                                "", // a Cyrillic а
		"ftp://api.example.com":                                 "",
		"file:///etc/passwd":                                    "",
		"gopher://api.example.com":                              "",
		"http:api.example.com":                                  "",
		"//api.example.com":                                     "",
		"api.example.com":                                       "",
		"":                                                      "",
		"http://":                                               "",
		"http:///path":                                          "",
		"http://192.0.2.8":                                      "",
		"http://198.51.101.0":                                   "",
		"http://10.1.2.3":                                       "",
		"http://10.1.2.3:82":                                    "",
		"http://0xc0000207":                                     "",
		"http://3221225991":                                     "",
		"http://192.0.519":                                      "",
		"http://0300.0.2.7":                                     "",
		"http://192.0.2.0x7":                                    "",
		"http://[2001:db8::1]":                                  "",
		"http://[2001:db8:2::]":                                 "",
		"http://[fe80::1%25eth0]":                               "",
		"http://[2001:db8::2%25lo]":                             "",
		"http://[::ffff:192.0.2.8]":                             "",
		"http://api.example.com/" + strings.Repeat("x", maxURL): "",
	} {
		got, err := a.target(url)
		switch {
		case (err != nil) != (want == ""):
			t.Errorf("%q: error %v, want %q", url, err, want)
		case err == nil && got.key != want:
			t.Errorf("%q: %s, want %s", url, got.key, want)
		case err == nil && got.url.Fragment != "":
			t.Errorf("%q keeps its fragment", url)
		}
	}
}

func TestParseAllow(t *testing.T) {
	for _, bad := range []string{"", "*", "*.", "a.*.b", "*a.example", "http://a.example", "a.example/x", "a b",
		"a:", "a:0", "a:70000", "a:x", "127.1", "0x7f.0.0.1", "2130706433", "1.2.3.4/33", "1.2.3.4:0",
		"fe80::1%eth0", "-a", "a-.b", ".a",
		"ä.example", "::ffff:0:0/95"} {
		if _, err := ParseAllow([]string{"good.example", bad}); err == nil || !strings.Contains(err.Error(), `"`+bad+`"`) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if !allow(t).Empty() || allow(t, "a").Empty() || allow(t, "*.a").Empty() || allow(t, "::1").Empty() {
		t.Error("Empty is wrong")
	}
}

// SPEC 11: "Private addresses only if named there as addresses, checked on the address dialled".
func TestAddresses(t *testing.T) {
	nobody, some := allow(t, "api.example.com", "*.internal"), allow(t, "10.0.0.0/8", "127.0.0.1:80", "fd00::/8", "::1",
		"64:ff9b::/96", "169.254.169.254")
	for addr, want := range map[string]struct{ nobody, some bool }{
		"8.8.8.8:80":              {true, true},
		"[2606:4700::1111]:443":   {true, true},
		"[::ffff:8.8.8.8]:80":     {true, true},
		"10.0.0.1:80":             {false, true},
		"[::ffff:10.0.0.1]:80":    {false, true},
		"127.0.0.1:80":            {false, true},
		"127.0.0.1:81":            {false, false},
		"127.0.0.2:80":            {false, false},
		"[::ffff:127.0.0.2]:80":   {false, false},
		"[::1]:80":                {false, true},
		"[::]:80":                 {false, false},
		"0.0.0.0:80":              {false, false},
		"169.254.169.254:80":      {false, true},
		"169.254.1.1:80":          {false, false},
		"100.100.100.200:80":      {false, false},
		"168.63.129.16:80":        {false, false},
		"192.0.0.192:80":          {false, false},
		"172.16.0.1:80":           {false, false},
		"172.31.255.255:80":       {false, false},
		"172.32.0.1:80":           {true, true},
		"192.168.0.1:80":          {false, false},
		"198.18.0.1:80":           {false, false},
		"224.0.0.1:80":            {false, false},
		"255.255.255.255:80":      {false, false},
		"[fe80::1]:80":            {false, false},
		"[fe80::1%lo]:80":         {false, false},
		"[fec0::1]:80":            {false, false},
		"[fd00:ec2::254]:80":      {false, true},
		"[fc00::1]:80":            {false, false},
		"[ff02::1]:80":            {false, false},
		"[::127.0.0.1]:80":        {false, false}, // IPv4-compatible
		"[64:ff9b::127.0.0.1]:80": {false, true},
		"[64:ff9b:1::7f00:1]:80":  {false, false},
		"[2002:7f00:1::]:80":      {false, false}, // 6to4
		"[2001:0:7f00:1::]:80":    {false, false}, // Teredo
		"[2001:db8::1]:80":        {false, false},
		"[100::1]:80":             {false, false},
		"[::ffff:0:127.0.0.1]:80": {false, false}, // translated (SIIT)
	} {
		at := netip.MustParseAddrPort(addr)
		if got := nobody.dial(at); got != want.nobody {
			t.Errorf("%s: %v when it is not named", addr, got)
		}
		if got := some.dial(at); got != want.some {
			t.Errorf("%s: %v with some networks named", addr, got)
		}
	}
}
