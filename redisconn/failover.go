package redisconn

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// watchProcesses looks at each watch interval whether the same Redis processes answer as before. A failover or a quick
// restart may lose acknowledged writes without any command of ours failing, in a
// Cluster without any of our connections being touched. Then it tells OnBreak. A master that is added loses nothing.
func (c *Client) watchProcesses() {
	tick := time.NewTicker(c.cfg.WatchEvery)
	defer tick.Stop()
	var known []string
	for {
		now, err := c.processes()
		if err == nil { // else those who want something from it will notice
			if gone := slices.DeleteFunc(known, func(id string) bool { return slices.Contains(now, id) }); len(gone) > 0 {
				c.cfg.Log.Warn("redis is another process now: a restart or a failover, which may have lost writes")
				c.ReportBreak()
			}
			known = now
		}
		select {
		case <-c.ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// processes returns the run ids of all masters; none where Redis does not tell them (miniredis).
func (c *Client) processes() ([]string, error) {
	ctx, cancel := context.WithTimeout(c.ctx, c.cfg.Timeout)
	defer cancel()
	var mu sync.Mutex
	var ids []string
	err := c.eachMaster(ctx, func(ctx context.Context, master redis.UniversalClient) error {
		info, err := master.Info(ctx, "server").Result()
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		if id := infoField(info, "run_id"); id != "" {
			ids = append(ids, id)
		}
		return nil
	})
	return ids, err
}

// IsReplica asks a node of Redis whether it follows a master, as one does that was a master before a failover.
func IsReplica(ctx context.Context, node *redis.Client) (bool, error) {
	info, err := node.Info(ctx, "replication").Result()
	if err != nil {
		return false, fmt.Errorf("ask for the role of %s: %w", node.Options().Addr, err)
	}
	return infoField(info, "role") == "slave", nil
}
