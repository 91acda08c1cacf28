package broker

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// keep looks at each watch interval whether the same Redis processes answer as before. A failover or a quick
// restart may lose acknowledged writes without any command of ours failing, in a
// Cluster without any of our connections being touched. Then it tells OnBreak.
func (b *Broker) keep() {
	tick := time.NewTicker(b.cfg.WatchEvery)
	defer tick.Stop()
	known := ""
	for {
		select {
		case <-b.ctx.Done():
			return
		case <-tick.C:
		}
		now, err := b.processes()
		if err != nil || now == known {
			continue // unreachable: those who want something from it will notice
		}
		if known != "" && now != known {
			b.cfg.Log.Warn("redis is another process now: a restart or a failover, which may have lost writes")
			b.broke()
		}
		known = now
	}
}

// processes returns the run ids of all masters, or "" where Redis does not tell them (miniredis).
func (b *Broker) processes() (string, error) {
	ctx, cancel := context.WithTimeout(b.ctx, b.cfg.Timeout)
	defer cancel()
	var mu sync.Mutex
	var ids []string
	err := b.eachMaster(ctx, func(ctx context.Context, c redis.Cmdable) error {
		info, err := c.Info(ctx, "server").Result()
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		ids = append(ids, infoField(info, "run_id"))
		return nil
	})
	slices.Sort(ids)
	return strings.Join(ids, " "), err
}
