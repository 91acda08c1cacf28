package app

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"
)

// pattern is a route's path, cut at its slashes. A trailing slash is a last segment "" and so another path (SPEC 6).
type pattern struct {
	text     string // as written, "/rooms/:room_id"
	segments []segment
}

// segment is one part of a pattern: fixed text, or a parameter that takes any text but "".
type segment struct {
	text  string // the text itself (decoded), or the parameter's name
	param bool
}

// parsePattern reads "/rooms/:room_id".
func parsePattern(text string) (pattern, error) {
	if !strings.HasPrefix(text, "/") {
		return pattern{}, fmt.Errorf("the path %q does not begin with a slash", text)
	}
	if err := checkText(text); err != nil {
		return pattern{}, fmt.Errorf("the path %q %w", text, err)
	}
	p := pattern{text: text}
	parts := strings.Split(text[1:], "/")
	for i, part := range parts {
		switch {
		case part == "" && i < len(parts)-1:
			return pattern{}, fmt.Errorf("the path %q has an empty segment", text)
		case part == "." || part == "..":
			return pattern{}, fmt.Errorf("the path %q has a segment %q", text, part)
		case strings.HasPrefix(part, ":"):
			name := part[1:]
			if !isName(name) {
				return pattern{}, fmt.Errorf("the path %q: %q is no parameter name (letters, digits and _)", text, name)
			}
			for _, s := range p.segments {
				if s.param && s.text == name {
					return pattern{}, fmt.Errorf("the path %q has the parameter %q twice", text, name)
				}
			}
			p.segments = append(p.segments, segment{text: name, param: true})
		default:
			p.segments = append(p.segments, segment{text: part})
		}
	}
	return p, nil
}

// shape is equal for two patterns exactly when they match the same paths.
func (p pattern) shape() string {
	var b strings.Builder
	for _, s := range p.segments {
		if s.param {
			b.WriteString("/:")
		} else {
			b.WriteByte('/')
			b.WriteString(s.text)
		}
	}
	return b.String()
}

// params pairs the names of a pattern with a path's segments. The path is one that the pattern matches.
func (p pattern) params(path []string) []pair {
	var out []pair
	for i, s := range p.segments {
		if s.param && i < len(path) {
			out = append(out, pair{s.text, path[i]})
		}
	}
	return out
}

// dynamic tells whether there is any parameter.
func (p pattern) dynamic() bool {
	for _, s := range p.segments {
		if s.param {
			return true
		}
	}
	return false
}

// pair is a name and its value; lists of them keep the order that a map would lose.
type pair struct{ name, value string }

var errBadPath = errors.New("the path is not well encoded")

// splitPath cuts an escaped URL path and percent-decodes each segment (SPEC 6), so that "a%2Fb" is one segment.
func splitPath(escaped string) ([]string, error) {
	if !strings.HasPrefix(escaped, "/") {
		return nil, errBadPath
	}
	parts := strings.Split(escaped[1:], "/")
	if !strings.Contains(escaped, "%") {
		return parts, nil
	}
	for i, part := range parts {
		s, err := url.PathUnescape(part)
		if err != nil || !utf8.ValidString(s) {
			return nil, errBadPath
		}
		parts[i] = s
	}
	return parts, nil
}

// tree finds the pattern for a path: static segments win over dynamic ones, the leftmost first (SPEC 1.2, 6).
type tree[T any] struct {
	root node[T]
}

type node[T any] struct {
	static  map[string]*node[T]
	dynamic *node[T]
	leaf    *T
}

// add puts v at p, or returns what is there already and leaves the tree as it was.
func (t *tree[T]) add(p pattern, v *T) (existing *T) {
	n := &t.root
	for _, s := range p.segments {
		switch {
		case s.param:
			if n.dynamic == nil {
				n.dynamic = &node[T]{}
			}
			n = n.dynamic
		default:
			next := n.static[s.text]
			if next == nil {
				if n.static == nil {
					n.static = map[string]*node[T]{}
				}
				next = &node[T]{}
				n.static[s.text] = next
			}
			n = next
		}
	}
	if n.leaf != nil {
		return n.leaf
	}
	n.leaf = v
	return nil
}

// find returns what was added for the path, or nil.
func (t *tree[T]) find(path []string) *T { return t.root.find(path) }

func (n *node[T]) find(path []string) *T {
	if len(path) == 0 {
		return n.leaf
	}
	if next := n.static[path[0]]; next != nil {
		if v := next.find(path[1:]); v != nil {
			return v
		}
	}
	if n.dynamic != nil && path[0] != "" {
		return n.dynamic.find(path[1:])
	}
	return nil
}

func isName(s string) bool {
	for i, r := range s {
		switch {
		case r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z':
		case r >= '0' && r <= '9' && i > 0:
		default:
			return false
		}
	}
	return s != ""
}

func checkText(s string) error {
	if !utf8.ValidString(s) {
		return errors.New("is not UTF-8")
	}
	for _, r := range s {
		if r < 0x20 || r == 0x7f || r == '?' || r == '#' {
			return fmt.Errorf("has the character %q in it", r)
		}
	}
	return nil
}
