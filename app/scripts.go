package app

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"rollcall/broker"
	"rollcall/luavm"
	"rollcall/redisconn"
)

// Bounds of the registry.
const (
	MaxCode    = 256 << 10 // bytes of a script
	MaxScripts = 1000
)

// Errors of Scripts, besides ErrBadPath, ErrBadMethod, *luavm.CompileError and redisconn.ErrUnavailable.
var (
	ErrNotFound = errors.New("no such script")
	ErrTooBig   = fmt.Errorf("the code is larger than %d bytes", MaxCode)
	ErrFull     = fmt.Errorf("%d scripts are registered already; remove one first", MaxScripts)
)

// Redis is what Scripts and store need of Redis.
type Redis interface {
	Do(ctx context.Context, args ...any) (any, error)
	Run(ctx context.Context, s *redisconn.Script, keys []string, args ...any) (any, error)
}

// Subscriber is how Scripts hears of changes.
type Subscriber interface {
	Attach(topic string, r broker.Receiver) (confirmed bool)
	Unsubscribe(topic string, r broker.Receiver)
}

// ScriptsConfig says where the registry is.
type ScriptsConfig struct {
	Redis  Redis
	Broker Subscriber
	Keys   redisconn.Keys
	Every  time.Duration // how often to look for a change whose announcement was lost; 0: 500 ms
	Log    *slog.Logger  // nil: slog.Default()
}

// Scripts are the scripts registered over HTTP (SPEC 1.1), kept in Redis and compiled on every node. A change is
// announced to all nodes; one that missed it finds out by a cheap look at Redis. What Redis has lost, the nodes write
// back.
type Scripts struct {
	cfg  ScriptsConfig
	stop chan struct{}
	wake chan struct{}   // buffer 1: something changed
	ask  chan chan error // callers that wait for a look at Redis
	done sync.WaitGroup
	once sync.Once

	now atomic.Pointer[scriptSet] // what this node serves

	mu      sync.Mutex
	changes []change // announced, in order, and not looked at yet
	missed  bool     // there were too many of them

	// Owned by the loop.
	rev    string // of Redis when it was last read
	failed bool   // the last look failed, and that was logged
}

// scriptSet is one state of the registry with its compiled scripts. It does not change.
type scriptSet struct {
	records records
	scripts []*script // those not deleted, by field
}

// script is a script that can run: registered, or a file of the app.
type script struct {
	name    ScriptName
	pattern pattern
	file    string // "" when registered
	version int64  // 0 for files
	source  string
	program *luavm.Program
	used    fieldSet // of the global request
	err     error    // it did not compile here (then program is nil)
}

var (
	//go:embed redis/script_put.lua
	scriptPutSource string
	//go:embed redis/script_restore.lua
	scriptRestoreSource string
	//go:embed redis/script_forget.lua
	scriptForgetSource string

	scriptPut     = redisconn.NewScript(scriptPutSource)
	scriptRestore = redisconn.NewScript(scriptRestoreSource)
	scriptForget  = redisconn.NewScript(scriptForgetSource)
)

// OpenScripts reads the registry and follows it until Close.
func OpenScripts(ctx context.Context, cfg ScriptsConfig) (*Scripts, error) {
	if cfg.Every == 0 {
		cfg.Every = 500 * time.Millisecond
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	s := &Scripts{cfg: cfg, stop: make(chan struct{}), wake: make(chan struct{}, 1), ask: make(chan chan error)}
	s.now.Store(&scriptSet{records: records{}})
	cfg.Broker.Attach(cfg.Keys.AllTopic(), s)
	if err := s.look(ctx, true); err != nil {
		cfg.Broker.Unsubscribe(cfg.Keys.AllTopic(), s)
		return nil, fmt.Errorf("read registered scripts: %w", err)
	}
	s.done.Go(s.loop)
	return s, nil
}

// Close ends the loop and waits for it.
func (s *Scripts) Close() {
	s.once.Do(func() {
		s.cfg.Broker.Unsubscribe(s.cfg.Keys.AllTopic(), s)
		close(s.stop)
	})
	s.done.Wait()
}

// Receive takes the announcements; other payloads of the topic are not for Scripts.
func (s *Scripts) Receive(payload string) {
	if rest, ok := strings.CutPrefix(payload, "scripts "); ok {
		if c, ok := parseChange(rest); ok {
			s.announced(c)
		}
		s.Resubscribed()
	}
}

// Resubscribed is told when announcements may have been missed: the registry is read again.
func (s *Scripts) Resubscribed() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Put compiles and registers a script, in place of an earlier one. The old version stays when it does not compile
// (*luavm.CompileError).
func (s *Scripts) Put(ctx context.Context, db, path, method, code string) (Script, error) {
	name, err := ParseScriptName(db, path, method)
	if err != nil {
		return Script{}, err
	}
	if len(code) > MaxCode {
		return Script{}, ErrTooBig
	}
	if _, err := luavm.Compile(name.chunk(), code); err != nil {
		return Script{}, err
	}
	text, err := encodePayload(name, code)
	if err != nil {
		return Script{}, fmt.Errorf("encode script: %w", err)
	}
	version, err := s.write(ctx, name, "+", text, "0")
	if err != nil {
		return Script{}, fmt.Errorf("store script: %w", err)
	}
	r, err := parseRecord(version + " + " + text)
	if err != nil {
		return Script{}, fmt.Errorf("store script: %w", err)
	}
	return r.Script, nil
}

// Delete removes a script; a file of the same path is served again. ErrNotFound when none is registered.
func (s *Scripts) Delete(ctx context.Context, db, path, method string) error {
	name, err := ParseScriptName(db, path, method)
	if err != nil {
		return err
	}
	text, err := encodePayload(name, "")
	if err != nil {
		return fmt.Errorf("encode script: %w", err)
	}
	version, err := s.write(ctx, name, "-", text, "1")
	if err != nil {
		return fmt.Errorf("delete script: %w", err)
	}
	if version == "" {
		return ErrNotFound
	}
	return nil
}

// write runs script_put.lua and makes this node see the change.
func (s *Scripts) write(ctx context.Context, name ScriptName, mark, text, replaceOnly string) (version string,
	err error) {
	held := int64(0)
	if r := s.now.Load().records[name.field()]; r != nil && !(r.deleted && replaceOnly == "1") {
		held = r.Version
	}
	reply, err := s.cfg.Redis.Run(ctx, scriptPut, []string{s.cfg.Keys.Scripts()}, name.field(), mark, text, held,
		s.cfg.Keys.AllTopic(), replaceOnly, MaxScripts)
	if err != nil {
		return "", err
	}
	answer, ok := texts(reply)
	switch {
	case ok && len(answer) == 0:
		return "", nil
	case ok && len(answer) == 1:
		return "", ErrFull
	case !ok || len(answer) != 3:
		return "", fmt.Errorf("unexpected answer of Redis: %T", reply)
	}
	version = answer[0]
	s.announced(change{answer[1], answer[2], name.field()})
	if err := s.refresh(ctx); err != nil {
		s.Resubscribed() // it is stored; the loop will see it
	}
	return version, nil
}

// Get reads a script back, as Redis has it now; when Redis is away, as this node holds it.
func (s *Scripts) Get(ctx context.Context, db, path, method string) (Script, error) {
	name, err := ParseScriptName(db, path, method)
	if err != nil {
		return Script{}, err
	}
	if err := s.refresh(ctx); err != nil && !errors.Is(err, redisconn.ErrUnavailable) {
		return Script{}, err
	}
	r := s.now.Load().records[name.field()]
	if r == nil || r.deleted {
		return Script{}, ErrNotFound
	}
	return r.Script, nil
}

// List returns all registered scripts in the order of their names; like Get.
func (s *Scripts) List(ctx context.Context) ([]Script, error) {
	if err := s.refresh(ctx); err != nil && !errors.Is(err, redisconn.ErrUnavailable) {
		return nil, err
	}
	set := s.now.Load()
	out := make([]Script, 0, len(set.scripts))
	for _, sc := range set.scripts {
		out = append(out, set.records[sc.name.field()].Script)
	}
	return out, nil
}

// lookWait is how long a caller waits for a look at Redis, which may have to wait for another one.
const lookWait = 2 * time.Second

// refresh waits until the loop has looked at Redis.
func (s *Scripts) refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookWait)
	defer cancel()
	late := func() error { return fmt.Errorf("%w: %w", redisconn.ErrUnavailable, ctx.Err()) }
	answer := make(chan error, 1)
	select {
	case s.ask <- answer:
	case <-s.stop:
		return redisconn.ErrClosed
	case <-ctx.Done():
		return late()
	}
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return late()
	}
}

func (s *Scripts) loop() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s.done.Go(func() { // a look at Redis that hangs does not hold up Close
		select {
		case <-s.stop:
			cancel()
		case <-ctx.Done():
		}
	})
	tick := time.NewTicker(s.cfg.Every)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
			s.report(ctx, s.look(ctx, false))
		case <-s.wake:
			s.report(ctx, s.hear(ctx))
		case answer := <-s.ask:
			answer <- s.look(ctx, false)
		}
	}
}

// report logs the first of a row of failures.
func (s *Scripts) report(ctx context.Context, err error) {
	if err != nil && !s.failed && ctx.Err() == nil {
		s.cfg.Log.Warn("registered scripts cannot be read from Redis; the ones this node has stay", "error", err)
	}
	s.failed = err != nil
}

// look compares the registry's mark with the one of the last read. When they differ it reads what was announced to have
// changed, and all when that does not explain the mark.
func (s *Scripts) look(ctx context.Context, always bool) error {
	if !always {
		if _, err := s.follow(ctx); err != nil {
			return err
		}
	}
	reply, err := s.cfg.Redis.Do(ctx, "HGET", s.cfg.Keys.Scripts(), fieldRev)
	if err != nil && !errors.Is(err, redisconn.Nil) {
		return err
	}
	rev, _ := reply.(string)
	if rev == s.rev && !always {
		return nil
	}
	reply, err = s.cfg.Redis.Do(ctx, "HGETALL", s.cfg.Keys.Scripts())
	if err != nil {
		return err
	}
	remote, rev := s.readAll(reply)
	old := s.now.Load()
	next, restore, forget := mergeRecords(old.records, remote, time.Now())
	s.now.Store(s.compile(old, next))
	for field, r := range restore {
		s.cfg.Log.Info("writing back a registered script that Redis has lost", "script", r.Name().String(), "version",
			r.Version)
		if _, err := s.cfg.Redis.Run(ctx, scriptRestore, []string{s.cfg.Keys.Scripts()}, field, r.raw,
			s.cfg.Keys.AllTopic()); err != nil {
			return fmt.Errorf("write back script %s: %w", r.Name(), err)
		}
	}
	for field, r := range forget {
		if _, err := s.cfg.Redis.Run(ctx, scriptForget, []string{s.cfg.Keys.Scripts()}, field, r.raw); err != nil {
			return fmt.Errorf("forget deleted script %s: %w", r.Name(), err)
		}
	}
	s.rev = rev // only now: a failure above makes the next look read again
	return nil
}

// readAll turns HGETALL's reply into records; damaged fields are logged and left alone.
func (s *Scripts) readAll(reply any) (remote records, rev string) {
	remote = records{}
	for field, value := range hashReply(reply) {
		if field == fieldRev {
			rev = value
			continue
		}
		r, err := parseRecord(value)
		if err != nil || r.Name().field() != field {
			s.cfg.Log.Error("registered script cannot be read", "field", field, "error", err)
			continue
		}
		remote[field] = r
	}
	return remote, rev
}
