package luavm

import (
	"errors"
	"fmt"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// Lua 5.1 patterns, after lstrlib.c of PUC Lua, with a count of steps: a
// pattern that backtracks without end is stopped by the time budget like any
// loop. gopher-lua's own matcher cannot be stopped.

const (
	maxCaptures   = 32
	maxMatchDepth = 200 // items of a pattern that may have to be tried again

	captureOpen     int32 = -1
	capturePosition int32 = -2
)

type capture struct {
	start  int32
	length int32 // or one of the constants above
}

// matcher matches one pattern against one string.
type matcher struct {
	src, pat string
	level    int // captures begun
	captures [maxCaptures]capture
	depth    int
	fuel     int // steps until they are counted
	vm       *VM // counts steps, and unwinds when there are no more; may be nil
	L        *lua.LState
}

// stepsPerFuel is how many steps of the matcher are counted at once.
const stepsPerFuel = 1024

// patternError is what the matcher panics with for a malformed pattern.
type patternError struct{ error }

func (m *matcher) fail(format string, args ...any) int {
	panic(patternError{fmt.Errorf(format, args...)})
}

// malformed turns the panic of a malformed pattern into an error.
func malformed(err *error) {
	if r := recover(); r != nil {
		p, ok := r.(patternError)
		if !ok {
			panic(r)
		}
		*err = p.error
	}
}

func (m *matcher) step() {
	if m.fuel--; m.fuel < 0 {
		m.fuel = stepsPerFuel
		if m.vm != nil {
			m.vm.spend(m.L, stepsPerFuel/4)
		}
	}
}

// matchAt tries the pattern at one place, and returns where the match ends, or
// -1. An anchor has been taken off the pattern.
func (m *matcher) matchAt(s int) int {
	m.level = 0
	m.depth = 0
	return m.match(s, 0)
}

func (m *matcher) match(s, p int) int {
	if m.depth++; m.depth > maxMatchDepth {
		m.fail("pattern too complex")
	}
	r := m.run(s, p)
	m.depth--
	return r
}

func (m *matcher) run(s, p int) int {
	for {
		m.step()
		if p == len(m.pat) {
			return s
		}
		switch m.pat[p] {
		case '(':
			if p+1 < len(m.pat) && m.pat[p+1] == ')' {
				return m.startCapture(s, p+2, capturePosition)
			}
			return m.startCapture(s, p+1, captureOpen)
		case ')':
			return m.endCapture(s, p+1)
		case '$':
			if p+1 == len(m.pat) {
				if s == len(m.src) {
					return s
				}
				return -1
			}
		case '%':
			if p+1 < len(m.pat) {
				switch c := m.pat[p+1]; {
				case c == 'b':
					if s = m.matchBalance(s, p+2); s < 0 {
						return -1
					}
					p += 4
					continue
				case c == 'f':
					p += 2
					if p >= len(m.pat) || m.pat[p] != '[' {
						m.fail("missing '[' after '%%f' in pattern")
					}
					end := m.classEnd(p)
					if m.matchSet(m.at(s-1), p, end-1) || !m.matchSet(m.at(s), p, end-1) {
						return -1
					}
					p = end
					continue
				case isDigit(c):
					if s = m.matchBack(s, c); s < 0 {
						return -1
					}
					p += 2
					continue
				}
			}
		}
		end := m.classEnd(p)
		var suffix byte
		if end < len(m.pat) {
			suffix = m.pat[end]
		}
		switch suffix {
		case '?':
			if m.single(s, p, end) {
				if r := m.match(s+1, end+1); r >= 0 {
					return r
				}
			}
			p = end + 1
		case '*':
			return m.maxExpand(s, p, end)
		case '+':
			if !m.single(s, p, end) {
				return -1
			}
			return m.maxExpand(s+1, p, end)
		case '-':
			return m.minExpand(s, p, end)
		default:
			if !m.single(s, p, end) {
				return -1
			}
			s++
			p = end
		}
	}
}

// at is the byte at s, and 0 outside of the string.
func (m *matcher) at(s int) byte {
	if s < 0 || s >= len(m.src) {
		return 0
	}
	return m.src[s]
}

func (m *matcher) maxExpand(s, p, end int) int {
	n := 0
	for m.single(s+n, p, end) {
		m.step()
		n++
	}
	for ; n >= 0; n-- {
		m.step()
		if r := m.match(s+n, end+1); r >= 0 {
			return r
		}
	}
	return -1
}

func (m *matcher) minExpand(s, p, end int) int {
	for {
		m.step()
		if r := m.match(s, end+1); r >= 0 {
			return r
		}
		if !m.single(s, p, end) {
			return -1
		}
		s++
	}
}

func (m *matcher) startCapture(s, p int, what int32) int {
	if m.level >= maxCaptures {
		m.fail("too many captures")
	}
	m.captures[m.level] = capture{int32(s), what}
	m.level++
	r := m.match(s, p)
	if r < 0 {
		m.level--
	}
	return r
}

func (m *matcher) endCapture(s, p int) int {
	l := m.level - 1
	for ; l >= 0 && m.captures[l].length != captureOpen; l-- {
	}
	if l < 0 {
		m.fail("invalid pattern capture")
	}
	m.captures[l].length = int32(s) - m.captures[l].start
	r := m.match(s, p)
	if r < 0 {
		m.captures[l].length = captureOpen
	}
	return r
}

func (m *matcher) matchBalance(s, p int) int {
	if p+1 >= len(m.pat) {
		m.fail("unbalanced pattern")
	}
	if s >= len(m.src) || m.src[s] != m.pat[p] {
		return -1
	}
	open, shut, depth := m.pat[p], m.pat[p+1], 1
	for s++; s < len(m.src); s++ {
		m.step()
		switch m.src[s] {
		case shut:
			if depth--; depth == 0 {
				return s + 1
			}
		case open:
			depth++
		}
	}
	return -1
}

// matchBack matches what an earlier capture has matched.
func (m *matcher) matchBack(s int, digit byte) int {
	l := int(digit) - '1'
	if l < 0 || l >= m.level || m.captures[l].length == captureOpen {
		m.fail("invalid capture index")
	}
	n := int(m.captures[l].length)
	if n < 0 { // a position, which is no text
		return -1
	}
	m.fuel -= n >> 4
	m.step()
	start := int(m.captures[l].start)
	if s+n <= len(m.src) && m.src[start:start+n] == m.src[s:s+n] {
		return s + n
	}
	return -1
}

var errOpenCapture = errors.New("unfinished capture")

// captured returns capture i of a match from s to e: a string, or for a
// position capture its number, from 1. Without captures, 0 is the whole match.
func (m *matcher) captured(i, s, e int) (text string, position int, err error) {
	if i >= m.level {
		if i == 0 {
			return m.src[s:e], 0, nil
		}
		return "", 0, errors.New("invalid capture index")
	}
	switch c := m.captures[i]; c.length {
	case captureOpen:
		return "", 0, errOpenCapture
	case capturePosition:
		return "", int(c.start) + 1, nil
	default:
		return m.src[c.start : c.start+c.length], 0, nil
	}
}

// isPlain tells whether a pattern has no special characters.
func isPlain(pat string) bool { return !strings.ContainsAny(pat, "^$*+?.([%-") }
