package auth

import "testing"

// A Host field, and what it is: a page of any other name may have been led to this machine.
func TestHost(t *testing.T) {
	for _, tt := range []struct {
		host           string
		name           string
		local, address bool
	}{
		{"localhost", "localhost", true, false},
		{"LocalHost:6745", "localhost", true, false},
		{"app.localhost:6745", "app.localhost", true, false},
		{"127.0.0.1:6745", "127.0.0.1", true, true},
		{"127.9.9.9", "127.9.9.9", true, true},
		{"[::1]:6745", "::1", true, true},
		{"[::1]", "::1", true, true},
		{"192.0.2.1:6745", "192.0.2.1", false, true},
		{"[2001:db8::1]:6745", "2001:db8::1", false, true},
		{"evil.example:6745", "evil.example", false, false},
		{"localhost.evil.example", "localhost.evil.example", false, false},
		{"evillocalhost", "evillocalhost", false, false},
		{"127.0.0.1.evil.example", "127.0.0.1.evil.example", false, false},
		{"0x7f000001", "0x7f000001", false, false},
		{"", "", false, false},
	} {
		if name, local, address := HostName(tt.host), IsLocalHost(tt.host), IsAddress(tt.host); name != tt.name ||
			local != tt.local || address != tt.address {
			t.Errorf("%q: %q, local %v, address %v", tt.host, name, local, address)
		}
	}
}
