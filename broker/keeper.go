package broker

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// keep looks at each watch interval whether the same Redis processes answer as before. A failover or a quick
// restart may lose acknowledged writes without any command of ours failing, in a
// Cluster without any of our connections being touched. Then it tells OnBreak. A master that is added loses nothing.
func (b *Broker) keep() {
	tick := time.NewTicker(b.cfg.WatchEvery)
	defer tick.Stop()
	var known []string
	for {
		now, err := b.processes()
		if err == nil { // else those who want something from it will notice
			if gone := slices.DeleteFunc(known, func(id string) bool { return slices.Contains(now, id) }); len(gone) > 0 {
				b.cfg.Log.Warn("redis is another process now: a restart or a failover, which may have lost writes")
				b.broke()
			}
			known = now
		}
		select {
		case <-b.ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// processes returns the run ids of all masters; none where Redis does not tell them (miniredis).
func (b *Broker) processes() ([]string, error) {
	ctx, cancel := context.WithTimeout(b.ctx, b.cfg.Timeout)
	defer cancel()
	var mu sync.Mutex
	var ids []string
	err := b.eachMaster(ctx, func(ctx context.Context, c redis.UniversalClient) error {
		info, err := c.Info(ctx, "server").Result()
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
