package redismodel

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

var (
	errSyntax = errors.New("the model does not know this form of the command")
	errID     = errors.New("an entry's id is not greater than that of the last one")
)

// form is one command in the very form in which the rooms and their scripts send it: its arguments after the
// name, mostly the key first. It answers as Redis does; redis.Nil is nothing.
type form func(s *Server, a []string) (any, error)

// commands are those in use.
func commands() map[string]form {
	return map[string]form{
		"publish":  publish,
		"spublish": publish,
		"time": func(s *Server, _ []string) (any, error) {
			us := s.cfg.Now().UnixMicro()
			return list(strconv.FormatInt(us/1e6, 10), strconv.FormatInt(us%1e6, 10)), nil
		},
		"hget": func(s *Server, a []string) (any, error) {
			if v, ok := s.hash(a[0])[a[1]]; ok {
				return v, nil
			}
			return nil, redis.Nil
		},
		"hmget": func(s *Server, a []string) (any, error) {
			out := make([]any, len(a)-1)
			for i, f := range a[1:] {
				if v, ok := s.hash(a[0])[f]; ok {
					out[i] = v
				}
			}
			return out, nil
		},
		"hgetall": func(s *Server, a []string) (any, error) {
			var out []any
			h := s.hash(a[0])
			for _, f := range slices.Sorted(maps.Keys(h)) {
				out = append(out, f, h[f])
			}
			return out, nil
		},
		"hset": func(s *Server, a []string) (any, error) {
			before := len(s.hash(a[0]))
			s.hset(a[0], a[1:]...)
			return int64(len(s.hash(a[0])) - before), nil
		},
		"hsetnx": func(s *Server, a []string) (any, error) {
			if _, ok := s.hash(a[0])[a[1]]; ok {
				return int64(0), nil
			}
			s.hset(a[0], a[1:]...)
			return int64(1), nil
		},
		"hincrby": func(s *Server, a []string) (any, error) {
			n, _ := strconv.ParseInt(s.hash(a[0])[a[1]], 10, 64) // absent is 0
			by, err := strconv.ParseInt(a[2], 10, 64)
			s.hset(a[0], a[1], strconv.FormatInt(n+by, 10))
			return n + by, err
		},
		"hdel": func(s *Server, a []string) (any, error) {
			if _, ok := s.hash(a[0])[a[1]]; !ok || len(a) != 2 {
				return int64(0), nil
			}
			i := s.change(a[0])
			delete(i.Hash, a[1])
			s.drop(a[0], i)
			return int64(1), nil
		},
		"zadd":  zadd,
		"zcard": func(s *Server, a []string) (any, error) { return int64(len(s.zset(a[0]))), nil },
		"zscore": func(s *Server, a []string) (any, error) {
			if score, ok := s.zset(a[0])[a[1]]; ok {
				return score, nil
			}
			return nil, redis.Nil
		},
		"zrem": func(s *Server, a []string) (any, error) {
			if _, ok := s.zset(a[0])[a[1]]; !ok {
				return int64(0), nil
			}
			i := s.change(a[0])
			delete(i.Zset, a[1])
			s.drop(a[0], i)
			return int64(1), nil
		},
		"zrange": func(s *Server, a []string) (any, error) {
			if a[1] != "0" || a[2] != "-1" {
				return nil, errSyntax
			}
			return list(s.byScore(a[0])...), nil
		},
		"zrangebyscore": zrangebyscore,
		"zrangebylex":   zrangebylex,
		"sadd": func(s *Server, a []string) (any, error) {
			i := s.change(a[0])
			if i.Set == nil {
				i.Set = map[string]bool{}
			}
			before := len(i.Set)
			i.Set[a[1]] = true
			return int64(len(i.Set) - before), nil
		},
		"srem": func(s *Server, a []string) (any, error) {
			n := int64(0)
			for _, m := range a[1:] {
				if i := s.get(a[0]); i != nil && i.Set[m] {
					i = s.change(a[0])
					delete(i.Set, m)
					s.drop(a[0], i)
					n++
				}
			}
			return n, nil
		},
		"sscan": func(s *Server, a []string) (any, error) { // all in one page
			if i := s.get(a[0]); i != nil {
				return list(slices.Sorted(maps.Keys(i.Set))...), nil
			}
			return []any(nil), nil
		},
		"set": set,
		"get": func(s *Server, a []string) (any, error) {
			if i := s.get(a[0]); i != nil {
				return i.Text, nil
			}
			return nil, redis.Nil
		},
		"xadd":      xadd,
		"xlen":      func(s *Server, a []string) (any, error) { return int64(len(s.stream(a[0]))), nil },
		"xrange":    func(s *Server, a []string) (any, error) { return xrange(s, a[0], a[1], a[2], a[3:], false) },
		"xrevrange": func(s *Server, a []string) (any, error) { return xrange(s, a[0], a[2], a[1], a[3:], true) },
		"xdel":      xdel,
		"xtrim":     xtrim,
		"exists":    func(s *Server, a []string) (any, error) { return count(s.get(a[0]) != nil), nil },
		"del": func(s *Server, a []string) (any, error) {
			n := int64(0)
			for _, key := range a {
				if s.get(key) != nil {
					s.remember(key)
					delete(s.keys, key)
					n++
				}
			}
			return n, nil
		},
		"pexpire": func(s *Server, a []string) (any, error) {
			ms, err := strconv.ParseInt(a[1], 10, 64)
			if s.get(a[0]) == nil {
				return int64(0), err
			}
			s.change(a[0]).Expire = s.ms() + ms
			return int64(1), err
		},
		"persist": func(s *Server, a []string) (any, error) {
			if i := s.get(a[0]); i == nil || i.Expire == 0 {
				return int64(0), nil
			}
			s.change(a[0]).Expire = 0
			return int64(1), nil
		},
	}
}

// set is key, value, and perhaps NX, KEEPTTL or PX and a time.
func set(s *Server, a []string) (any, error) {
	var nx, keep bool
	var ms int64
	for rest := a[2:]; len(rest) > 0; rest = rest[1:] {
		switch strings.ToLower(rest[0]) {
		case "nx":
			nx = true
		case "keepttl":
			keep = true
		case "px":
			if len(rest) < 2 {
				return nil, errSyntax
			}
			var err error
			if ms, err = strconv.ParseInt(rest[1], 10, 64); err != nil {
				return nil, errSyntax
			}
			ms += s.ms()
			rest = rest[1:]
		default:
			return nil, errSyntax
		}
	}
	if nx && s.get(a[0]) != nil {
		return nil, redis.Nil
	}
	i := s.change(a[0])
	if keep {
		ms = i.Expire
	}
	i.Text, i.Expire = a[1], ms
	return "OK", nil
}

func publish(s *Server, a []string) (any, error) {
	s.cfg.Publish(a[0], a[1])
	return int64(1), nil
}

// zadd is key, score, member, or xx before the score: only a member that is there.
func zadd(s *Server, a []string) (any, error) {
	xx := len(a) == 4 && a[1] == "xx"
	if xx {
		a = []string{a[0], a[2], a[3]}
	}
	if len(a) != 3 {
		return nil, errSyntax
	}
	_, was := s.zset(a[0])[a[2]]
	score, err := strconv.ParseFloat(a[1], 64)
	if err != nil || xx && !was {
		return int64(0), err
	}
	i := s.change(a[0])
	if i.Zset == nil {
		i.Zset = map[string]float64{}
	}
	i.Zset[a[2]] = score
	return count(!was), nil
}

// zrangebyscore is key, a score, a score or "(" and a score, and perhaps LIMIT 0 and a number.
func zrangebyscore(s *Server, a []string) (any, error) {
	text, below := strings.CutPrefix(a[2], "(")
	most, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, errSyntax
	}
	least, err := strconv.ParseFloat(a[1], 64)
	if err != nil {
		return nil, errSyntax
	}
	z := s.zset(a[0])
	names := slices.DeleteFunc(s.byScore(a[0]), func(n string) bool {
		return z[n] < least || z[n] > most || below && z[n] == most
	})
	if len(a) > 3 {
		limit, err := strconv.Atoi(a[len(a)-1])
		if err != nil || len(a) != 6 || a[3] != "LIMIT" || a[4] != "0" {
			return nil, errSyntax
		}
		names = names[:min(limit, len(names))]
	}
	return list(names...), nil
}

// zrangebylex is key, "-" or "(" and a name, "+", limit 0 and a number.
func zrangebylex(s *Server, a []string) (any, error) {
	if len(a) != 6 || a[2] != "+" || a[3] != "limit" || a[4] != "0" {
		return nil, errSyntax
	}
	limit, err := strconv.Atoi(a[5])
	if err != nil {
		return nil, errSyntax
	}
	names := slices.Sorted(maps.Keys(s.zset(a[0])))
	if after, ok := strings.CutPrefix(a[1], "("); ok {
		names = slices.DeleteFunc(names, func(n string) bool { return n <= after })
	} else if a[1] != "-" {
		return nil, errSyntax
	}
	return list(names[:min(limit, len(names))]...), nil
}

func list(names ...string) []any {
	out := make([]any, len(names))
	for i, n := range names {
		out[i] = n
	}
	return out
}

func count(one bool) int64 {
	if one {
		return 1
	}
	return 0
}

func (s *Server) hash(key string) map[string]string {
	if i := s.get(key); i != nil {
		return i.Hash
	}
	return nil
}

func (s *Server) hset(key string, pairs ...string) {
	i := s.change(key)
	if i.Hash == nil {
		i.Hash = map[string]string{}
	}
	for n := 0; n+1 < len(pairs); n += 2 {
		i.Hash[pairs[n]] = pairs[n+1]
	}
}

func (s *Server) zset(key string) map[string]float64 {
	if i := s.get(key); i != nil {
		return i.Zset
	}
	return nil
}

// byScore gives all members of a sorted set by score, then by name.
func (s *Server) byScore(key string) []string {
	z := s.zset(key)
	return slices.SortedFunc(maps.Keys(z), func(a, b string) int {
		return cmp.Or(cmp.Compare(z[a], z[b]), strings.Compare(a, b))
	})
}
