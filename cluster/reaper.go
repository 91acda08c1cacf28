package cluster

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/redisconn"
)

// Remover takes the presence entries of a dead incarnation out of one channel and tells the channel. Entries of
// connections that its node sent away linger, and those of an earlier incarnation of this node may have to be written
// again: later is the earliest deadline of those that stay (ms of the Redis clock), 0 when they may go soon,
// math.MaxInt64 when none stays. lived is until when its lease was good, 0 not known. It is called for many
// channels at once.
type Remover interface {
	RemoveIncarnation(ctx context.Context, channel, inc string, lived int64) (later int64, err error)
}

const (
	// claimFor is how long a node keeps others from reaping the same incarnation; it renews the claim as it goes. A
	// claim only saves double work.
	claimFor = 3 * time.Second
	// maxRemovals is how many channels of an incarnation are seen to at once.
	maxRemovals = 64
)

// reaper removes what earlier incarnations of this node left, and dead nodes. It runs after a heartbeat of this node.
// To others it turns only while this node has held its own lease for a whole ttl: when Redis stalls for all, all
// recover together and nobody's users leave (DESIGN 3).
type reaper struct {
	c    *Cluster
	want chan struct{}
}

func (r *reaper) kick() {
	select {
	case r.want <- struct{}{}:
	default:
	}
}

func (r *reaper) loop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.want:
		}
		if err := r.round(ctx); err != nil && ctx.Err() == nil {
			r.c.stats.ReapErrors.Add(1)
			r.c.cfg.Log.Warn("reaping failed", "error", err)
		}
	}
}

// round declares the overdue dead and removes what is left of all that are dead.
func (r *reaper) round(ctx context.Context) error {
	c := r.c
	own, held := r.lease()
	whose, least := "all", c.cfg.TTL
	switch {
	case held <= 0:
		return nil // the lease was given up since the heartbeat that asked for this
	case held < c.cfg.TTL:
		whose, least = "own", 1
	}
	res, err := c.cfg.Redis.Run(ctx, declareScript, []string{c.keys.Nodes(), c.keys.Reaping()}, own,
		Grace.Milliseconds(), whose)
	if err != nil {
		return fmt.Errorf("declare dead nodes: %w", err)
	}
	incs, _ := res.([]any)
	var failed []error
	for _, v := range incs {
		inc, _ := v.(string)
		if inc == "" {
			continue
		}
		mine, err := r.claim(ctx, inc)
		if err != nil {
			return errors.Join(append(failed, err)...)
		}
		if !mine {
			continue
		}
		if err := r.reap(ctx, inc, least); err != nil {
			failed = append(failed, fmt.Errorf("reap %s: %w", inc, err))
		}
	}
	return errors.Join(failed...)
}

// lease gives this node's incarnation, and how long it has held its lease.
func (r *reaper) lease() (inc string, held time.Duration) {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	return r.c.lease.inc(), r.c.lease.heldFor(time.Now())
}

func (r *reaper) claim(ctx context.Context, inc string) (bool, error) {
	cmd := redis.NewStatusCmd(ctx, "set", r.c.keys.Claim(inc), r.c.cfg.Process, "nx", "px", claimFor.Milliseconds())
	err := r.c.cfg.Redis.Batch(ctx, []redis.Cmder{cmd})
	switch {
	case errors.Is(err, redisconn.ErrFull):
		return true, nil // without a claim others may do the same, which is only work done twice
	case err != nil:
		return false, fmt.Errorf("claim %s: %w", inc, err)
	}
	switch err := cmd.Err(); err {
	case nil:
		return true, nil
	case redis.Nil:
		return false, nil
	default:
		return false, fmt.Errorf("claim %s: %w", inc, err)
	}
}

// reap goes through the channels of one incarnation, then forgets it, or puts off what lingers. It ends when this node
// has held its lease for less than least.
func (r *reaper) reap(ctx context.Context, inc string, least time.Duration) error {
	c := r.c
	began := time.Now()
	channels, err := c.channelsOf(ctx, inc)
	if err != nil {
		return err
	}
	lived, err := r.lived(ctx, inc)
	if err != nil {
		return err
	}
	later, err := r.removeFrom(ctx, channels, inc, lived, least)
	switch {
	case err != nil:
		return err
	case later != math.MaxInt64:
		return r.putOff(ctx, inc, later)
	}
	if err := c.end(ctx, inc, "forget"); err != nil {
		return err
	}
	c.stats.Reaped.Add(1)
	c.cfg.Log.Info("reaped", "incarnation", inc, "channels", len(channels), "took", time.Since(began))
	return nil
}

// errLease: while Redis was away for this node, it may have been for the dead one too, which is back by now.
var errLease = errors.New("the own lease was in doubt meanwhile")

// removeFrom hands channels to the Remover, and gives the earliest deadline of what stays. One that fails holds up no
// other: of a Cluster one master may be away.
func (r *reaper) removeFrom(ctx context.Context, channels []string, inc string, lived int64, least time.Duration) (
	later int64, err error,
) {
	later = math.MaxInt64
	var (
		mu     sync.Mutex
		failed int
		wg     sync.WaitGroup
	)
	note := func(till int64, e error) {
		mu.Lock()
		defer mu.Unlock()
		if e == nil {
			later = min(later, till)
			return
		}
		if failed++; err == nil {
			err = e
		}
	}
	slots := make(chan struct{}, maxRemovals)
	claimed := time.Now()
	for _, ch := range channels {
		slots <- struct{}{}
		if _, held := r.lease(); held < least {
			note(0, errLease)
			break
		}
		wg.Go(func() {
			defer func() { <-slots }()
			till, err := r.c.cfg.Remover.RemoveIncarnation(ctx, ch, inc, lived)
			if err != nil {
				err = fmt.Errorf("channel %q: %w", ch, err)
			}
			note(till, err)
		})
		if time.Since(claimed) > claimFor/3 {
			claimed = time.Now()
			r.renewClaim(ctx, inc)
		}
	}
	wg.Wait()
	if err != nil {
		err = fmt.Errorf("%d of %d channels failed, first %w", failed, len(channels), err)
	}
	return later, err
}

// renewClaim tries to; without it others may do the same, which is only work done twice.
func (r *reaper) renewClaim(ctx context.Context, inc string) {
	cmd := redis.NewBoolCmd(ctx, "pexpire", r.c.keys.Claim(inc), claimFor.Milliseconds())
	_ = r.c.cfg.Redis.Batch(ctx, []redis.Cmder{cmd})
}

// lived reads until when the lease of an incarnation was good (ms of the Redis clock); 0: its node is of a version that
// does not tell.
func (r *reaper) lived(ctx context.Context, inc string) (int64, error) {
	cmd := redis.NewStringCmd(ctx, "hget", r.c.keys.Node(inc), "deadline")
	if err := r.c.cfg.Redis.Batch(ctx, []redis.Cmder{cmd}); err != nil {
		return 0, fmt.Errorf("read deadline: %w", err)
	}
	if err := cmd.Err(); err != nil && !errors.Is(err, redis.Nil) {
		return 0, fmt.Errorf("read deadline: %w", err)
	}
	deadline, _ := strconv.ParseInt(cmd.Val(), 10, 64)
	return deadline, nil
}

// putOff lets the rest of an incarnation wait until later (ms of the Redis clock); then any node may reap it.
func (r *reaper) putOff(ctx context.Context, inc string, later int64) error {
	cmds := []redis.Cmder{
		redis.NewIntCmd(ctx, "zadd", r.c.keys.Reaping(), "xx", later, inc),
		redis.NewIntCmd(ctx, "del", r.c.keys.Claim(inc)),
	}
	if err := r.c.cfg.Redis.Batch(ctx, cmds); err != nil {
		return fmt.Errorf("put off %s: %w", inc, err)
	}
	for _, cmd := range cmds {
		if err := cmd.Err(); err != nil {
			return fmt.Errorf("put off %s: %w", inc, err)
		}
	}
	return nil
}
