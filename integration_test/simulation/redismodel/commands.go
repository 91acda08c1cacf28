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

// Call is one command or script with its keys and arguments; the methods are what redis.call does.
type Call struct {
	s    *Server
	keys []string
	args []string
}

var errSyntax = errors.New("the model does not know this form of the command")

// commands are those that presence and cluster send outside scripts, in the very forms they use.
var commands = map[string]func(*Call) (any, error){
	"publish": func(c *Call) (any, error) {
		c.publish(c.args[0], c.args[1])
		return int64(1), nil
	},
	"hmget": func(c *Call) (any, error) {
		var out []any
		for _, f := range c.args[1:] {
			if v, ok := c.hget(c.args[0], f); ok {
				out = append(out, v)
			} else {
				out = append(out, nil)
			}
		}
		return out, nil
	},
	"hgetall": func(c *Call) (any, error) {
		var out []any
		h := c.hash(c.args[0])
		for _, f := range slices.Sorted(maps.Keys(h)) {
			out = append(out, f, h[f])
		}
		return out, nil
	},
	"zadd": func(c *Call) (any, error) {
		if len(c.args) != 4 || c.args[1] != "xx" {
			return nil, errSyntax
		}
		score, err := strconv.ParseFloat(c.args[2], 64)
		if err != nil {
			return nil, errSyntax
		}
		if _, ok := c.zscore(c.args[0], c.args[3]); ok {
			c.zadd(c.args[0], score, c.args[3])
		}
		return int64(0), nil
	},
	"del": func(c *Call) (any, error) {
		n := int64(0)
		for _, key := range c.args {
			if c.exists(key) {
				n++
			}
		}
		c.del(c.args...)
		return n, nil
	},
	"zcard":  func(c *Call) (any, error) { return int64(len(c.zset(c.args[0]))), nil },
	"zscore": func(c *Call) (any, error) { return found(c.zscore(c.args[0], c.args[1])) },
	"zrange": func(c *Call) (any, error) {
		if c.args[1] != "0" || c.args[2] != "-1" {
			return nil, errSyntax
		}
		return list(c.zrange(c.args[0])), nil
	},
	"zrangebylex": func(c *Call) (any, error) {
		if len(c.args) != 6 || c.args[2] != "+" || c.args[3] != "limit" || c.args[4] != "0" {
			return nil, errSyntax
		}
		limit, err := strconv.Atoi(c.args[5])
		if err != nil {
			return nil, errSyntax
		}
		names := slices.Sorted(maps.Keys(c.zset(c.args[0])))
		if after, ok := strings.CutPrefix(c.args[1], "("); ok {
			names = slices.DeleteFunc(names, func(n string) bool { return n <= after })
		} else if c.args[1] != "-" {
			return nil, errSyntax
		}
		return list(names[:min(limit, len(names))]), nil
	},
	"srem": func(c *Call) (any, error) {
		n := int64(0)
		for _, m := range c.args[1:] {
			if i := c.s.get(c.args[0]); i != nil && i.Set[m] {
				i = c.s.change(c.args[0])
				delete(i.Set, m)
				c.s.drop(c.args[0], i)
				n++
			}
		}
		return n, nil
	},
	"sscan": func(c *Call) (any, error) { // all in one page
		if i := c.s.get(c.args[0]); i != nil {
			return list(slices.Sorted(maps.Keys(i.Set))), nil
		}
		return []any(nil), nil
	},
	"set": func(c *Call) (any, error) {
		if len(c.args) != 5 || c.args[2] != "nx" || c.args[3] != "px" {
			return nil, errSyntax
		}
		if c.s.get(c.args[0]) != nil {
			return nil, redis.Nil
		}
		ms, err := strconv.ParseInt(c.args[4], 10, 64)
		if err != nil {
			return nil, errSyntax
		}
		i := c.s.change(c.args[0])
		i.Text, i.Expire = c.args[1], c.s.ms()+ms
		return "OK", nil
	},
	"pexpire": func(c *Call) (any, error) {
		ms, err := strconv.ParseInt(c.args[1], 10, 64)
		if err != nil {
			return nil, errSyntax
		}
		return c.pexpire(c.args[0], ms), nil
	},
}

func list(names []string) []any {
	out := make([]any, len(names))
	for i, n := range names {
		out[i] = n
	}
	return out
}

func found(score float64, ok bool) (any, error) {
	if !ok {
		return nil, redis.Nil
	}
	return score, nil
}

func (c *Call) publish(topic, payload string) { c.s.cfg.Publish(topic, payload) }

func (c *Call) hash(key string) map[string]string {
	if i := c.s.get(key); i != nil {
		return i.Hash
	}
	return nil
}

func (c *Call) zset(key string) map[string]float64 {
	if i := c.s.get(key); i != nil {
		return i.Zset
	}
	return nil
}

func (c *Call) exists(key string) bool { return c.s.get(key) != nil }

func (c *Call) hget(key, field string) (string, bool) {
	v, ok := c.hash(key)[field]
	return v, ok
}

func (c *Call) hset(key string, pairs ...string) {
	i := c.s.change(key)
	if i.Hash == nil {
		i.Hash = map[string]string{}
	}
	for n := 0; n+1 < len(pairs); n += 2 {
		i.Hash[pairs[n]] = pairs[n+1]
	}
}

func (c *Call) hsetnx(key, field, value string) {
	if _, ok := c.hget(key, field); !ok {
		c.hset(key, field, value)
	}
}

func (c *Call) hdel(key, field string) {
	if _, ok := c.hget(key, field); ok {
		i := c.s.change(key)
		delete(i.Hash, field)
		c.s.drop(key, i)
	}
}

func (c *Call) hincr(key, field string) int64 {
	text, _ := c.hget(key, field)
	n, _ := strconv.ParseInt(text, 10, 64) // absent is 0
	n++
	c.hset(key, field, strconv.FormatInt(n, 10))
	return n
}

func (c *Call) zscore(key, member string) (float64, bool) {
	score, ok := c.zset(key)[member]
	return score, ok
}

func (c *Call) zadd(key string, score float64, member string) (added bool) {
	i := c.s.change(key)
	if i.Zset == nil {
		i.Zset = map[string]float64{}
	}
	_, was := i.Zset[member]
	i.Zset[member] = score
	return !was
}

func (c *Call) zrem(key, member string) (removed bool) {
	if _, ok := c.zscore(key, member); !ok {
		return false
	}
	i := c.s.change(key)
	delete(i.Zset, member)
	c.s.drop(key, i)
	return true
}

// zrange gives all members by score, then by name.
func (c *Call) zrange(key string) []string {
	z := c.zset(key)
	return slices.SortedFunc(maps.Keys(z), func(a, b string) int {
		return cmp.Or(cmp.Compare(z[a], z[b]), strings.Compare(a, b))
	})
}

func (c *Call) sadd(key, member string) {
	i := c.s.change(key)
	if i.Set == nil {
		i.Set = map[string]bool{}
	}
	i.Set[member] = true
}

func (c *Call) del(keys ...string) {
	for _, key := range keys {
		if c.exists(key) {
			c.s.remember(key)
			delete(c.s.keys, key)
		}
	}
}

func (c *Call) pexpire(key string, ms int64) int64 {
	if !c.exists(key) {
		return 0
	}
	c.s.change(key).Expire = c.s.ms() + ms
	return 1
}

func (c *Call) persist(key string) {
	if c.exists(key) {
		c.s.change(key).Expire = 0
	}
}
