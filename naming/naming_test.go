package naming

import (
	"math"
	"strings"
	"testing"
)

// SPEC 6: "`user_id`: 1 to 255 bytes, like channels": UTF-8 without control characters.
func TestCheckUserID(t *testing.T) {
	for id, ok := range map[string]bool{
		"a": true, "ü ☃": true, strings.Repeat("x", 255): true, "with space": true, "a:b{c}%": true,
		"": false, strings.Repeat("x", 256): false, strings.Repeat("ü", 128): false,
		"a\x00": false, "a\nb": false, "\x7f": false, "\u0085": false, "\xff": false,
	} {
		if err := CheckUserID(id); (err == nil) != ok {
			t.Errorf("%q: %v, want ok %v", id, err, ok)
		}
	}
}

// SPEC 6: "A `user_id` that is a number must be whole and between -2^53 and 2^53".
func TestNumericUserID(t *testing.T) {
	for _, tt := range []struct {
		n    float64
		want string // "": none
	}{
		{0, "0"}, {math.Copysign(0, -1), "0"}, {42, "42"}, {-7, "-7"},
		{1<<53 - 1, "9007199254740991"}, {1 - 1<<53, "-9007199254740991"},
		{1 << 53, ""}, {-1 << 53, ""}, {1.5, ""}, {1e300, ""}, {math.Inf(1), ""}, {math.Inf(-1), ""}, {math.NaN(), ""},
	} {
		if id, ok := NumericUserID(tt.n); id != tt.want || ok != (tt.want != "") {
			t.Errorf("%v is %q, %v; want %q", tt.n, id, ok, tt.want)
		}
	}
}
