package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// refresh reads which incarnations are alive and what they say of themselves.
func (c *Cluster) refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, max(c.cfg.Heartbeat, time.Second))
	defer cancel()
	members := redis.NewStringSliceCmd(ctx, "zrange", c.keys.Nodes(), 0, -1)
	if err := c.cfg.Redis.Batch(ctx, []redis.Cmder{members}); err != nil {
		return fmt.Errorf("list nodes: %w", err)
	}
	incs, err := members.Result()
	if err != nil {
		return fmt.Errorf("list nodes: %w", err)
	}
	cmds := make([]redis.Cmder, len(incs))
	for i, inc := range incs {
		cmds[i] = redis.NewMapStringStringCmd(ctx, "hgetall", c.keys.Node(inc))
	}
	if len(cmds) > 0 {
		if err := c.cfg.Redis.Batch(ctx, cmds); err != nil {
			return fmt.Errorf("read nodes: %w", err)
		}
	}
	nodes := make([]Node, 0, len(incs))
	for i, inc := range incs {
		h, err := cmds[i].(*redis.MapStringStringCmd).Result()
		if err != nil {
			return fmt.Errorf("read node %s: %w", inc, err)
		}
		nodes = append(nodes, nodeFrom(inc, h))
	}
	alive := merge(nodes)
	c.alive.Store(&alive)
	return nil
}

// processes lists the nodes of the registry as it is now: one that has started since the last heartbeat is there, one
// that has gone is not. This node is among them always, and once.
func (c *Cluster) processes(ctx context.Context) ([]string, error) {
	members := redis.NewStringSliceCmd(ctx, "zrange", c.keys.Nodes(), 0, -1)
	if err := c.cfg.Redis.Batch(ctx, []redis.Cmder{members}); err != nil {
		return nil, fmt.Errorf("list nodes: %w", err)
	}
	incs, err := members.Result()
	if err != nil {
		return nil, fmt.Errorf("list nodes: %w", err)
	}
	all := []string{c.cfg.Process}
	for _, inc := range incs {
		all = append(all, processOf(inc))
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// Nodes lists the live nodes as of the last heartbeat, by process id.
func (c *Cluster) Nodes() []Node {
	m := *c.alive.Load()
	out := make([]Node, 0, len(m))
	for _, n := range m {
		out = append(out, n)
	}
	slices.SortFunc(out, func(a, b Node) int { return strings.Compare(a.Process, b.Process) })
	return out
}

// Alive tells whether a process is a live node. A process that the last heartbeat did not show is looked up again,
// since it may have started since.
func (c *Cluster) Alive(ctx context.Context, process string) (bool, error) {
	if process == c.cfg.Process {
		return true, nil
	}
	if _, ok := (*c.alive.Load())[process]; ok {
		return true, nil
	}
	if err := c.refresh(ctx); err != nil {
		return false, err
	}
	_, ok := (*c.alive.Load())[process]
	return ok, nil
}

// IncarnationAlive asks Redis whether an incarnation holds a lease or waits to be reaped. A presence entry of any other
// is an orphan.
func (c *Cluster) IncarnationAlive(ctx context.Context, inc string) (bool, error) {
	live := redis.NewFloatCmd(ctx, "zscore", c.keys.Nodes(), inc)
	dying := redis.NewFloatCmd(ctx, "zscore", c.keys.Reaping(), inc)
	if err := c.cfg.Redis.Batch(ctx, []redis.Cmder{live, dying}); err != nil {
		return false, fmt.Errorf("look up incarnation %s: %w", inc, err)
	}
	for _, cmd := range []*redis.FloatCmd{live, dying} {
		switch err := cmd.Err(); {
		case err == nil:
			return true, nil
		case err != redis.Nil:
			return false, fmt.Errorf("look up incarnation %s: %w", inc, err)
		}
	}
	return false, nil
}
