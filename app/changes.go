package app

import (
	"context"
	"errors"
	"maps"
	"strings"
	"time"

	"rollcall/redisconn"
)

// change is one announced change of the registry: a script's field, and the registry's marks before and after it.
type change struct{ before, after, field string }

// maxChanges is how many announced changes wait to be looked at; beyond, the whole registry is read.
const maxChanges = 64

// parseChange reads what stands behind "scripts ". Announcements that do not say what has changed give false.
func parseChange(text string) (change, bool) {
	parts := strings.SplitN(text, " ", 3)
	if len(parts) != 3 {
		return change{}, false
	}
	mark := func(word string) string { return strings.ReplaceAll(word, "_", " ") }
	return change{mark(parts[0]), mark(parts[1]), parts[2]}, true
}

// announced keeps a change for the next look.
func (s *Scripts) announced(c change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.missed = s.missed || len(s.changes) >= maxChanges; !s.missed {
		s.changes = append(s.changes, c)
	}
}

// taken gives the changes that wait, in order, and forgets them.
func (s *Scripts) taken() (changes []change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.missed {
		changes = s.changes
	}
	s.changes, s.missed = nil, false
	return changes
}

// after tells what changed from a mark on, as far as the announcements follow one another: the fields, and the mark
// that they lead to.
func after(rev string, changes []change) (fields []string, now string) {
	for _, c := range changes {
		if c.before == rev {
			fields, rev = append(fields, c.field), c.after
		}
	}
	return fields, rev
}

// hear looks at what was announced, and at the registry's mark only if that does not lead to the last announcement: the
// next change may be under way already.
func (s *Scripts) hear(ctx context.Context) error {
	if all, err := s.follow(ctx); all || err != nil {
		return err
	}
	return s.look(ctx, false)
}

// follow reads the scripts of which it was announced that they have changed; all tells whether this node then has what
// was announced last.
func (s *Scripts) follow(ctx context.Context) (all bool, err error) {
	changes := s.taken()
	fields, rev := after(s.rev, changes)
	all = len(changes) > 0 && rev == changes[len(changes)-1].after
	if len(fields) == 0 {
		return all, nil
	}
	old := s.now.Load()
	next := maps.Clone(old.records)
	for _, field := range fields {
		reply, err := s.cfg.Redis.Do(ctx, "HGET", s.cfg.Keys.Scripts(), field)
		if errors.Is(err, redisconn.Nil) {
			return false, nil // lost: the mark has changed, or will, and all is read
		}
		if err != nil {
			return false, err
		}
		raw, _ := reply.(string)
		r, err := parseRecord(raw)
		if err != nil || r.Name().field() != field {
			s.cfg.Log.Error("registered script cannot be read", "field", field, "error", err)
			continue
		}
		if had := next[field]; r.expired(time.Now()) || had != nil && !r.newer(had) {
			continue
		}
		next[field] = r
	}
	s.now.Store(s.compile(old, next))
	s.rev = rev
	return all, nil
}

// texts reads a list of strings.
func texts(reply any) ([]string, bool) {
	list, ok := reply.([]any)
	if !ok {
		return nil, false
	}
	out := make([]string, len(list))
	for i, v := range list {
		if out[i], ok = v.(string); !ok {
			return nil, false
		}
	}
	return out, true
}
