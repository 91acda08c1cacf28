package hooks

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"time"

	"rollcall/redisconn"
)

//go:embed scripts/shared.lua
var sharedSrc string

//go:embed scripts/wake.lua
var wakeSrc string

//go:embed scripts/claim.lua
var claimSrc string

//go:embed scripts/release.lua
var releaseSrc string

//go:embed scripts/take.lua
var takeSrc string

//go:embed scripts/keep.lua
var keepSrc string

//go:embed scripts/mark.lua
var markSrc string

//go:embed scripts/clear.lua
var clearSrc string

//go:embed scripts/synced.lua
var syncedSrc string

//go:embed scripts/order.lua
var orderSrc string

//go:embed scripts/failed.lua
var failedSrc string

//go:embed scripts/status.lua
var statusSrc string

//go:embed scripts/forget.lua
var forgetSrc string

//go:embed scripts/present.lua
var presentSrc string

//go:embed scripts/append.lua
var appendSrc string

// What grows with what users do is refused by a full Redis, and tried again: wake and append.
var (
	wakeScript    = redisconn.NewScript(sharedSrc + wakeSrc)
	claimScript   = redisconn.NewScript(sharedSrc + claimSrc).AllowOOM()
	releaseScript = redisconn.NewScript(sharedSrc + releaseSrc).AllowOOM()
	takeScript    = redisconn.NewScript(sharedSrc + takeSrc).AllowOOM()
	keepScript    = redisconn.NewScript(sharedSrc + keepSrc).AllowOOM()
	markScript    = redisconn.NewScript(sharedSrc + markSrc).AllowOOM()
	clearScript   = redisconn.NewScript(sharedSrc + clearSrc).AllowOOM()
	syncedScript  = redisconn.NewScript(sharedSrc + syncedSrc).AllowOOM()
	orderScript   = redisconn.NewScript(sharedSrc + orderSrc).AllowOOM()
	failedScript  = redisconn.NewScript(sharedSrc + failedSrc).AllowOOM()
	statusScript  = redisconn.NewScript(sharedSrc + statusSrc)
	forgetScript  = redisconn.NewScript(sharedSrc + forgetSrc).AllowOOM()
	presentScript = redisconn.NewScript(presentSrc).AllowOOM()
	appendScript  = redisconn.NewScript(appendSrc)
)

const (
	parts    = 16     // that the channels of a hook are spread over; each is one node's at a time
	syncPart = "sync" // all of them, for a synchronisation
	perStep  = 200    // channels that one script forgets
)

// partOf is the part that a channel belongs to.
func partOf(channel string) int { return redisconn.Slot(channel) % parts }

// store is one hook in Redis: its keys are all in one slot, so that they are lost together or not at all.
type store struct {
	redis   Redis
	keys    []string // of the scripts
	process string
	publish string // command
	lease   time.Duration
	topic   string
}

func newStore(cfg *Config, hook string) *store {
	k := cfg.Redis.Keys()
	return &store{redis: cfg.Redis, lease: cfg.Lease, keys: []string{k.Hook(hook)}, process: cfg.Process,
		publish: k.PublishCommand(k.HookTopic(hook)), topic: k.HookTopic(hook)}
}

// run gives the answer of a script that is an array of texts and numbers.
func (s *store) run(ctx context.Context, script *redisconn.Script, args ...any) (answer, error) {
	res, err := s.redis.Run(ctx, script, s.keys, args...)
	if err != nil {
		return nil, err
	}
	list, ok := res.([]any)
	if !ok || len(list) == 0 {
		return nil, fmt.Errorf("unexpected answer %v", res)
	}
	return list, nil
}

// answer is an array that a script gave.
type answer []any

func (a answer) text(i int) string {
	if i >= len(a) {
		return ""
	}
	switch v := a[i].(type) {
	case string:
		return v
	case int64:
		return strconv.FormatInt(v, 10)
	}
	return ""
}

// num is a number, 0 for "".
func (a answer) num(i int) int64 {
	n, _ := strconv.ParseInt(a.text(i), 10, 64)
	return n
}

// anyWake is the payload of the topic that says: look at the claims.
const anyWake = "*"

// wake notes changes; those of one call are at most perStep.
func (s *store) wake(ctx context.Context, changes []Change) error {
	args := make([]any, 3, 3+4*len(changes))
	var concerned []string
	seen := [parts]bool{}
	for _, c := range changes {
		p := partOf(c.Channel)
		if !seen[p] {
			seen[p], concerned = true, append(concerned, strconv.Itoa(p))
		}
		args = append(args, p, c.Channel, c.User, c.Cause)
	}
	args[0], args[1], args[2] = s.publish, s.topic, strings.Join(concerned, ",")
	_, err := s.redis.Run(ctx, wakeScript, s.keys, args...)
	return err
}

// claimed is what a claim was answered.
type claimed struct {
	state  string // "ok", "sync", "paused", "other"
	round  string // "ok"
	now    int64  // ms of Redis; 0 when nothing was claimed
	parts  []claimedPart
	known  bool  // "sync": Redis knew of the hook
	mine   bool  // "sync": this node has all parts, once left is 0
	left   int64 // "sync"
	unsync int64 // "sync": ms since it is due
}

type claimedPart struct {
	part    int
	due     int64 // ms of Redis; 0: nothing is
	request bool  // one is under way
	owed    int64
	oldest  int64 // ms of Redis; 0: nothing is owed
}

func (s *store) claim(ctx context.Context, definition string, first bool, marks int64, busy []string) (claimed, error) {
	args := []any{s.process, s.lease.Milliseconds(), definition, flag(first), marks, parts}
	for _, p := range busy {
		args = append(args, p)
	}
	a, err := s.run(ctx, claimScript, args...)
	if err != nil {
		return claimed{}, err
	}
	c := claimed{state: a.text(0)}
	switch c.state {
	case "ok":
		c.round, c.now = a.text(1), a.num(2)
		for i := 3; i+4 < len(a); i += 5 {
			c.parts = append(c.parts, claimedPart{int(a.num(i)), a.num(i + 1), a.num(i+2) == 1, a.num(i + 3), a.num(i + 4)})
		}
	case "sync":
		c.known, c.mine, c.left, c.unsync, c.now = a.num(1) == 1, a.num(2) == 1, a.num(3), a.num(4), a.num(5)
	}
	return c, nil
}

func flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

func (s *store) release(ctx context.Context) error {
	_, err := s.redis.Run(ctx, releaseScript, s.keys, s.process, parts)
	return err
}

// taken is what there is to do in a part.
type taken struct {
	last    acknowledged
	request *request // repeat it
	looks   []look   // the user "" is whoever is in the channel
	now     int64    // ms of Redis
	next    int64    // when something else is due; 0: nothing is
}

// take reads it; errLost: the part is another node's now.
func (s *store) take(ctx context.Context, part, round string, marks int64) (taken, error) {
	a, err := s.run(ctx, takeScript, s.process, part, round, marks, perStep)
	if err != nil {
		return taken{}, err
	}
	switch a.text(0) {
	case "request":
		r, err := requestFrom(a.text(3))
		return taken{last: acknowledged{a.text(1), a.text(2)}, request: r}, err
	case "ok":
		t := taken{last: acknowledged{a.text(1), a.text(2)}, now: a.num(3), next: a.num(4)}
		for i := 5; i+5 < len(a); i += 6 {
			l := look{channel: a.text(i), user: a.text(i + 1), wakes: a.text(i + 2), told: a.text(i + 3),
				users: int(a.num(i + 4)), position: a.text(i + 5)}
			if w := strings.SplitN(l.wakes, " ", 3); len(w) == 3 {
				l.at, _ = strconv.ParseInt(w[1], 10, 64)
				l.cause = w[2]
			}
			t.looks = append(t.looks, l)
		}
		return t, nil
	}
	return taken{}, errLost
}

// anew begins anew: the sink has lost what it was told.
func (s *store) anew(ctx context.Context, part, round string) error {
	_, err := s.mark(ctx, part, round, nil, []op{{Do: "anew"}})
	return err
}

// keep keeps a request; marks and errLost are as in mark.
func (s *store) keep(ctx context.Context, part, round string, had int64, r *request) (marks int64, err error) {
	res, err := s.redis.Run(ctx, keepScript, s.keys, s.process, part, round, had, r.text())
	if err != nil {
		return 0, err
	}
	if marks, _ = res.(int64); marks == 0 {
		return 0, errLost
	}
	return marks, nil
}

// mark notes what was acknowledged or looked at; marks is how many requests and acknowledgements this node has noted.
// errLost: the part is another node's now, or all begins anew.
func (s *store) mark(ctx context.Context, part, round string, r *request, ops []op) (marks int64, err error) {
	args := []any{s.process, part, round, "", 0}
	if r != nil {
		args[3], args[4] = r.ID, r.Events
	}
	for _, o := range ops {
		args = append(args, o.Do, partOf(o.Channel), o.Channel, o.User, o.Value)
	}
	a, err := s.run(ctx, markScript, args...)
	switch {
	case err != nil:
		return 0, err
	case a.text(0) != "ok":
		return 0, errLost
	}
	return a.num(1), nil
}

// clear forgets all that was told, and begins a round; errLost: another node synchronises.
func (s *store) clear(ctx context.Context, round string) error {
	for {
		res, err := s.redis.Run(ctx, clearScript, s.keys, s.process, parts, round, perStep)
		switch {
		case err != nil:
			return err
		case res == int64(1):
			return nil
		case res != int64(0):
			return errLost
		}
	}
}

func (s *store) synced(ctx context.Context, round string) error {
	res, err := s.redis.Run(ctx, syncedScript, s.keys, s.process, round, s.publish, s.topic, anyWake)
	if err == nil && res != int64(1) {
		err = errLost
	}
	return err
}

func (s *store) order(ctx context.Context) error {
	_, err := s.redis.Run(ctx, orderScript, s.keys, s.publish, s.topic, anyWake)
	return err
}

func (s *store) failed(ctx context.Context, part, round, why string, gone bool) error {
	_, err := s.redis.Run(ctx, failedScript, s.keys, s.process, part, round, why, flag(gone), s.publish, s.topic, anyWake)
	return err
}

// forget forgets a hook that no node has.
func (s *store) forget(ctx context.Context) (done bool, err error) {
	for {
		res, err := s.redis.Run(ctx, forgetScript, s.keys, parts, perStep)
		if err != nil || res != int64(0) {
			return res == int64(1), err
		}
	}
}

// known reads the channels of a part that are in use, in steps.
func (s *store) known(ctx context.Context, part int) (channels []string, err error) {
	key, cursor := s.keys[0]+":known:"+strconv.Itoa(part), "0"
	seen := map[string]bool{}
	for {
		res, err := s.redis.Do(ctx, "sscan", key, cursor, "count", perStep)
		if err != nil {
			return nil, err
		}
		page, _ := res.([]any)
		list, ok := answer(page).list(1)
		if len(page) != 2 || !ok {
			return nil, fmt.Errorf("unexpected answer %v", res)
		}
		for _, c := range list {
			if !seen[c] {
				seen[c], channels = true, append(channels, c)
			}
		}
		if cursor = answer(page).text(0); cursor == "0" {
			return channels, nil
		}
	}
}

func (a answer) list(i int) (texts []string, ok bool) {
	list, ok := a[i].([]any)
	for j := range list {
		texts = append(texts, answer(list).text(j))
	}
	return texts, ok
}

// toldUsers reads of whom the sink was told in a channel.
func (s *store) toldUsers(ctx context.Context, channel string) (map[string]bool, error) {
	res, err := s.redis.Do(ctx, "hkeys", s.keys[0]+":t:"+channel)
	if err != nil {
		return nil, err
	}
	list, _ := res.([]any)
	users := map[string]bool{}
	for i := range list {
		if id := answer(list).text(i); id != "" {
			users[id] = true
		}
	}
	return users, nil
}
