package app

import (
	"context"
	_ "embed"
	"errors"

	lua "github.com/yuin/gopher-lua"

	"rollcall/luavm"
	"rollcall/redisconn"
)

// maxStoreKey bounds keys and fields of store, in bytes.
const maxStoreKey = 1024

// storeFunctions are the app's shared state in Redis (SPEC 1.3). Values are JSON; all raise within 3 s when Redis is
// away.
var storeFunctions = map[string]lua.LGFunction{
	"get":     storeGet,
	"set":     storeSet,
	"delete":  storeDelete,
	"incr":    storeIncr,
	"expire":  storeExpire,
	"hget":    storeHGet,
	"hset":    storeHSet,
	"hdel":    storeHDel,
	"hgetall": storeHGetAll,
}

//go:embed redis/store_hgetall.lua
var storeHGetAllSource string

var storeHGetAllScript = redisconn.NewScript(storeHGetAllSource)

// storeCall reads the key that all of them take first.
func storeCall(l *lua.LState, function string) (a args, c *call, key string) {
	_, c = callOf(l)
	a = args{l, "store." + function}
	return a, c, c.server.cfg.Keys.Store(c.app.Name, a.key(1, "key"))
}

func (a args) key(i int, name string) string {
	s := a.str(i, name)
	if s == "" || len(s) > maxStoreKey {
		a.fail("%s must have 1 to %d bytes", name, maxStoreKey)
	}
	return s
}

// stored encodes a value for Redis.
func (a args) stored(i int) string {
	v := a.l.Get(i)
	if v == lua.LNil {
		a.fail("value must not be nil; use store.delete or store.hdel (json.null is a value)")
	}
	return string(a.json(v, "value"))
}

// do runs one command; found is false for Redis's "no such value".
func (c *call) do(a args, command ...any) (reply any, found bool) {
	return c.found(a, func(ctx context.Context) (any, error) { return c.server.cfg.Redis.Do(ctx, command...) })
}

// write runs a command that changes the key behind its name, within the quota if there is one.
func (c *call) write(a args, command ...any) (reply any, found bool) {
	q := c.server.cfg.StoreQuota
	if q == nil {
		return c.do(a, command...)
	}
	return c.found(a, func(ctx context.Context) (any, error) { return q.write(ctx, command) })
}

func (c *call) found(a args, run func(context.Context) (any, error)) (reply any, found bool) {
	found = true
	c.wait(a.l, a.function, func(ctx context.Context) (err error) {
		reply, err = run(ctx)
		if errors.Is(err, redisconn.Nil) {
			found, err = false, nil
		}
		return err
	})
	return reply, found
}

// integer is a command that changes a key and whose reply is a number.
func (c *call) integer(a args, command ...any) int64 {
	reply, _ := c.write(a, command...)
	n, ok := reply.(int64)
	if !ok {
		a.fail("unexpected answer of Redis")
	}
	return n
}

func (a args) pushStored(reply any, found bool) int {
	text, ok := reply.(string)
	if !found || !ok {
		return a.push(lua.LNil)
	}
	return a.push(a.decode(text))
}

// store.get(key) -> value or nil
func storeGet(l *lua.LState) int {
	a, c, key := storeCall(l, "get")
	reply, found := c.do(a, "GET", key)
	return a.pushStored(reply, found)
}

// store.set(key, value [, {ttl = ms, nx = true}]) -> true; false when nx and there is a value already
func storeSet(l *lua.LState) int {
	a, c, key := storeCall(l, "set")
	command := []any{"SET", key, a.stored(2)}
	if opts := a.optTable(3, "options"); opts != nil {
		for k, v := opts.Next(lua.LNil); k != lua.LNil; k, v = opts.Next(k) {
			switch k {
			case lua.LString("ttl"):
				ms, ok := wholeNumber(v)
				if !ok || ms < 1 {
					a.fail("ttl must be a whole number of milliseconds above 0, not %s", describe(v))
				}
				command = append(command, "PX", ms)
			case lua.LString("nx"):
				nx, ok := luaBool(v)
				if !ok {
					a.fail("nx must be true or false, not %s", describe(v))
				}
				if nx {
					command = append(command, "NX")
				}
			default:
				a.fail("unknown option %s (known: ttl, nx)", keyText(k))
			}
		}
	}
	_, found := c.write(a, command...)
	return a.push(lua.LBool(found))
}

// store.delete(key) -> whether there was one
func storeDelete(l *lua.LState) int {
	a, c, key := storeCall(l, "delete")
	return a.push(lua.LBool(c.integer(a, "DEL", key) > 0))
}

// store.incr(key [, by]) -> the new number
func storeIncr(l *lua.LState) int {
	a, c, key := storeCall(l, "incr")
	by := int64(1)
	if l.Get(2) != lua.LNil {
		by = a.number(2, "by", -1<<53)
	}
	return a.push(lua.LNumber(c.integer(a, "INCRBY", key, by)))
}

// store.expire(key, ms) -> whether there is one
func storeExpire(l *lua.LState) int {
	a, c, key := storeCall(l, "expire")
	return a.push(lua.LBool(c.integer(a, "PEXPIRE", key, a.number(2, "ttl", 1)) > 0))
}

// store.hget(key, field) -> value or nil
func storeHGet(l *lua.LState) int {
	a, c, key := storeCall(l, "hget")
	reply, found := c.do(a, "HGET", key, a.key(2, "field"))
	return a.pushStored(reply, found)
}

// store.hset(key, field, value) -> true
func storeHSet(l *lua.LState) int {
	a, c, key := storeCall(l, "hset")
	c.integer(a, "HSET", key, a.key(2, "field"), a.stored(3))
	return a.push(lua.LTrue)
}

// store.hdel(key, field) -> whether there was one
func storeHDel(l *lua.LState) int {
	a, c, key := storeCall(l, "hdel")
	return a.push(lua.LBool(c.integer(a, "HDEL", key, a.key(2, "field")) > 0))
}

// store.hgetall(key) -> table, empty when there is none
func storeHGetAll(l *lua.LState) int {
	a, c, key := storeCall(l, "hgetall")
	vm := luavm.Of(l)
	var reply any
	c.wait(l, a.function, func(ctx context.Context) (err error) {
		reply, err = c.server.cfg.Redis.Run(ctx, storeHGetAllScript, []string{key}, vm.Limits().Memory)
		return err
	})
	if _, tooLong := reply.(int64); tooLong {
		vm.OutOfMemory(l)
	}
	out := l.CreateTable(0, 0)
	l.Push(out) // before it is filled, so that it counts for the script's memory meanwhile
	for field, value := range hashReply(reply) {
		vm.Charge(l, luavm.FieldSize(field))
		out.RawSetString(field, a.decode(value))
	}
	return 1
}

// hashReply reads fields and values that come in turn.
func hashReply(reply any) map[string]string {
	list, _ := reply.([]any)
	out := make(map[string]string, len(list)/2)
	for i := 0; i+1 < len(list); i += 2 {
		field, ok1 := list[i].(string)
		value, ok2 := list[i+1].(string)
		if ok1 && ok2 {
			out[field] = value
		}
	}
	return out
}
