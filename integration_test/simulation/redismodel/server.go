package redismodel

import (
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
	lua "github.com/yuin/gopher-lua"

	"rollcall/luavm"
	"rollcall/redisconn"
)

// Config of a server.
type Config struct {
	Now     func() time.Time            // the clock of TIME and of expiry
	Publish func(topic, payload string) // told of every PUBLISH, in order
	Scripts []Source                    // that it knows
}

// Item is what one key holds. Exactly one of the maps is set, or Stream, or Text.
type Item struct {
	Hash   map[string]string
	Zset   map[string]float64
	Set    map[string]bool
	Stream *Stream
	Text   string
	Expire int64 // unix ms; 0: never
}

func (i *Item) clone() *Item {
	if i == nil {
		return nil
	}
	return &Item{maps.Clone(i.Hash), maps.Clone(i.Zset), maps.Clone(i.Set), i.Stream.clone(), i.Text, i.Expire}
}

func (i *Item) empty() bool {
	return len(i.Hash)+len(i.Zset)+len(i.Set)+len(i.Text) == 0 && i.Stream == nil
}

// write is one command or script that changed something: the keys as they were before.
type write map[string]*Item

// maxWrites bounds how many writes can be lost.
const maxWrites = 64

// Server is one Redis process. It is not safe for concurrent use.
type Server struct {
	cfg      Config
	commands map[string]form
	vm       *luavm.VM
	scripts  map[string]*lua.LFunction // by SHA1
	keys     map[string]*Item
	writes   []write
	now      write // of the command under way
}

// New makes an empty server.
func New(cfg Config) *Server {
	s := &Server{cfg: cfg, commands: commands(), keys: map[string]*Item{}, scripts: map[string]*lua.LFunction{}}
	s.vm = luavm.New(luavm.Config{Library: library(), Data: s})
	for _, source := range cfg.Scripts {
		s.scripts[source.Script.String()] = source.program.Function(s.vm)
	}
	return s
}

// Do runs one command and gives its answer as go-redis does: string, int64, []any, redis.Nil; an error is a fault of
// the caller or of the model.
func (s *Server) Do(args []any) (any, error) {
	s.now = write{}
	res, err := s.do(args)
	if len(s.now) > 0 {
		s.writes = append(s.writes, s.now)
		if over := len(s.writes) - maxWrites; over > 0 {
			s.writes = append(s.writes[:0], s.writes[over:]...)
		}
	}
	return res, err
}

func (s *Server) do(args []any) (any, error) {
	name, _ := args[0].(string)
	if name != "evalsha" {
		return s.command(name, texts(args[1:]))
	}
	script, _ := args[1].(*redisconn.Script)
	fn := s.scripts[fmt.Sprint(script)]
	if fn == nil {
		return nil, fmt.Errorf("the model does not know the script %v: put it into lua.go", script)
	}
	text := texts(args[2:])
	n, err := strconv.Atoi(text[0])
	if err != nil {
		return nil, fmt.Errorf("number of keys: %w", err)
	}
	return s.eval(fn, text[1:1+n], text[1+n:])
}

func (s *Server) command(name string, args []string) (any, error) {
	do := s.commands[name]
	if do == nil {
		return nil, fmt.Errorf("the model does not know the command %q", name)
	}
	return do(s, args)
}

// Process runs a typed command as redisconn's Batch does: the answer or error is then in it.
func (s *Server) Process(cmd redis.Cmder) {
	res, err := s.Do(cmd.Args())
	if err != nil {
		cmd.SetErr(err)
		return
	}
	switch c := cmd.(type) {
	case *redis.IntCmd:
		c.SetVal(res.(int64))
	case *redis.BoolCmd:
		c.SetVal(res.(int64) == 1)
	case *redis.FloatCmd:
		c.SetVal(res.(float64))
	case *redis.StatusCmd:
		c.SetVal(res.(string))
	case *redis.StringCmd:
		c.SetVal(res.(string))
	case *redis.SliceCmd:
		c.SetVal(res.([]any))
	case *redis.StringSliceCmd:
		c.SetVal(strs(res))
	case *redis.MapStringStringCmd:
		h := map[string]string{}
		list := strs(res)
		for i := 0; i+1 < len(list); i += 2 {
			h[list[i]] = list[i+1]
		}
		c.SetVal(h)
	case *redis.ScanCmd:
		c.SetVal(strs(res), 0)
	case *redis.Cmd:
		c.SetVal(res)
	default:
		cmd.SetErr(fmt.Errorf("the model does not know %T", cmd))
	}
}

func strs(res any) []string {
	list := res.([]any)
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = v.(string)
	}
	return out
}

func texts(args []any) []string {
	out := make([]string, len(args))
	for i, a := range args {
		switch v := a.(type) {
		case string:
			out[i] = v
		case []byte:
			out[i] = string(v)
		case int:
			out[i] = strconv.Itoa(v)
		case int64:
			out[i] = strconv.FormatInt(v, 10)
		default:
			out[i] = fmt.Sprint(v)
		}
	}
	return out
}

// Wipe is FLUSHALL.
func (s *Server) Wipe() { s.keys, s.writes = map[string]*Item{}, nil }

// Lose takes the last n writes back, as a failover to a replica that was behind does. It gives how many there were.
func (s *Server) Lose(n int) int {
	n = min(n, len(s.writes))
	for range n {
		last := s.writes[len(s.writes)-1]
		s.writes = s.writes[:len(s.writes)-1]
		for key, item := range last {
			if item == nil {
				delete(s.keys, key)
			} else {
				s.keys[key] = item
			}
		}
	}
	return n
}

// Keys lists what is held, for tests.
func (s *Server) Keys() map[string]*Item {
	out := map[string]*Item{}
	for key := range s.keys {
		if i := s.get(key); i != nil {
			out[key] = i
		}
	}
	return out
}

// Get is what a key holds, or nil. It must not be changed.
func (s *Server) Get(key string) *Item { return s.get(key) }

func (s *Server) ms() int64 { return s.cfg.Now().UnixMilli() }

// get reads a key, nil when it is absent or over.
func (s *Server) get(key string) *Item {
	i := s.keys[key]
	if i != nil && i.Expire != 0 && i.Expire <= s.ms() {
		s.remember(key)
		delete(s.keys, key)
		return nil
	}
	return i
}

// change gives a key for writing, made if need be.
func (s *Server) change(key string) *Item {
	i := s.get(key)
	s.remember(key)
	if i == nil {
		i = &Item{}
		s.keys[key] = i
	}
	return i
}

func (s *Server) remember(key string) {
	if _, done := s.now[key]; !done {
		s.now[key] = s.keys[key].clone()
	}
}

// drop removes a key that holds nothing any more.
func (s *Server) drop(key string, i *Item) {
	if i.empty() {
		delete(s.keys, key)
	}
}
