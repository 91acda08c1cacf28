package luavm

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	lua "github.com/yuin/gopher-lua"
)

func (d *decoder) word(w string) error {
	if !strings.HasPrefix(d.s[d.i:], w) {
		for j := 0; d.i < len(d.s) && d.s[d.i] == w[j]; j++ {
			d.i++
		}
		return d.unexpected()
	}
	d.i += len(w)
	return nil
}

// smallNumbers saves the allocation of a number as a value.
var smallNumbers = func() (n [256]lua.LValue) {
	for i := range n {
		n[i] = lua.LNumber(i)
	}
	return n
}()

func (d *decoder) number() (lua.LValue, error) {
	start := d.i
	if d.s[d.i] == '-' {
		d.i++
	}
	first := d.i
	n := d.digits()
	if d.i == first || d.s[first] == '0' && d.i > first+1 {
		if d.i > first {
			d.i = first + 1
		}
		return nil, d.unexpected()
	}
	whole := d.i
	if d.i < len(d.s) && d.s[d.i] == '.' {
		d.i++
		if at := d.i; true {
			if d.digits(); d.i == at {
				return nil, d.unexpected()
			}
		}
	}
	if d.i < len(d.s) && (d.s[d.i] == 'e' || d.s[d.i] == 'E') {
		d.i++
		if d.i < len(d.s) && (d.s[d.i] == '+' || d.s[d.i] == '-') {
			d.i++
		}
		if at := d.i; true {
			if d.digits(); d.i == at {
				return nil, d.unexpected()
			}
		}
	}
	if d.i == whole && whole-first <= 15 {
		if first > start {
			return lua.LNumber(-n), nil
		}
		if n < int64(len(smallNumbers)) {
			return smallNumbers[n], nil
		}
		return lua.LNumber(n), nil
	}
	f, err := strconv.ParseFloat(d.s[start:d.i], 64)
	if err != nil {
		return nil, d.fail(start, "number out of range")
	}
	return lua.LNumber(f), nil
}

// digits skips digits, and returns their value if there are few of them.
func (d *decoder) digits() (n int64) {
	for d.i < len(d.s) && d.s[d.i] >= '0' && d.s[d.i] <= '9' {
		n = n*10 + int64(d.s[d.i]-'0')
		d.i++
	}
	return n
}

// str reads a string; text that needs no change is not copied, unless it would
// hold a long source.
func (d *decoder) str() (string, error) {
	d.i++
	start := d.i
	for d.i < len(d.s) {
		c := d.s[d.i]
		if c == '"' {
			s := d.s[start:d.i]
			d.i++
			if d.clone && len(s) < len(d.s)/2 {
				s = strings.Clone(s)
			}
			return s, nil
		}
		if c == '\\' || c < ' ' {
			break
		}
		d.i++
	}
	buf := append(make([]byte, 0, d.i-start+32), d.s[start:d.i]...)
	for d.i < len(d.s) {
		c := d.s[d.i]
		switch {
		case c == '"':
			d.i++
			return string(buf), nil
		case c < ' ':
			return "", d.fail(d.i, "control character in a string")
		case c == '\\':
			var err error
			if buf, err = d.escape(buf); err != nil {
				return "", err
			}
		default:
			buf = append(buf, c)
			d.i++
		}
	}
	return "", d.unexpected()
}

func (d *decoder) escape(buf []byte) ([]byte, error) {
	d.i++
	if d.i >= len(d.s) {
		return nil, d.unexpected()
	}
	c := d.s[d.i]
	switch c {
	case '"', '\\', '/':
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'u':
		return d.unicode(buf)
	default:
		return nil, d.fail(d.i, "unknown escape")
	}
	d.i++
	return append(buf, c), nil
}

// unicode reads \uXXXX, and the second half of a surrogate pair after it. Half
// a pair alone becomes U+FFFD.
func (d *decoder) unicode(buf []byte) ([]byte, error) {
	r, ok := d.hex4(d.i + 1)
	if !ok {
		return nil, d.fail(d.i, "\\u needs four hexadecimal digits")
	}
	d.i += 5
	if utf16.IsSurrogate(r) {
		low, ok := rune(0), false
		if strings.HasPrefix(d.s[d.i:], `\u`) {
			low, ok = d.hex4(d.i + 2)
		}
		if r = utf16.DecodeRune(r, low); ok && r != utf8.RuneError {
			d.i += 6
		}
	}
	return utf8.AppendRune(buf, r), nil
}

func (d *decoder) hex4(at int) (rune, bool) {
	if at+4 > len(d.s) {
		return 0, false
	}
	n, err := strconv.ParseUint(d.s[at:at+4], 16, 32)
	return rune(n), err == nil && d.s[at] != '+'
}
