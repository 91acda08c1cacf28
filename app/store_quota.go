package app

import (
	"context"
	_ "embed"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"rollcall/redisconn"
)

// StoreQuota bounds what an app keeps with store.*, and counts it in Redis, in the script of each write. So the count
// is right at any moment but for keys that have expired since the last write. What was written while there was no quota
// is counted by a look at all keys: at the start, and once an hour, by one node.
//
// It has one goroutine, which Close waits for. All counts of an app are beside its keys, so there is none on a Cluster.
type StoreQuota struct {
	cfg    StoreQuotaConfig
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// StoreQuotaConfig says what is bounded.
type StoreQuotaConfig struct {
	Redis    Redis
	Keys     redisconn.Keys
	App      string // its name
	MaxKeys  int64  // 0: no bound
	MaxBytes int64  // of the names of keys and fields, and of values as JSON; 0: no bound
	Log      *slog.Logger
}

// countEvery is how often all keys are looked at, by one node.
const countEvery = time.Hour

// countPage is how many keys are looked at in one go.
const countPage = 200

//go:embed redis/store_size.lua
var storeSizeSource string

//go:embed redis/store_write.lua
var storeWriteSource string

//go:embed redis/store_count.lua
var storeCountSource string

var (
	storeWriteScript = redisconn.NewScript("local sizes, ttls, sum = KEYS[2], KEYS[3], KEYS[4]\n" + storeSizeSource +
		storeWriteSource)
	storeCountScript = redisconn.NewScript("local sizes, ttls, sum = KEYS[1], KEYS[2], KEYS[3]\n" + storeSizeSource +
		storeCountSource)
)

// NewStoreQuota begins to count.
func NewStoreQuota(cfg StoreQuotaConfig) *StoreQuota {
	q := &StoreQuota{cfg: cfg}
	ctx, cancel := context.WithCancel(context.Background())
	q.cancel = cancel
	q.done.Go(func() { q.run(ctx) })
	return q
}

// Close ends the counting of all keys; writes still count.
func (q *StoreQuota) Close() {
	q.cancel()
	q.done.Wait()
}

func (q *StoreQuota) run(ctx context.Context) {
	for wait := time.Duration(0); ; wait = countEvery {
		for failures := 0; ; failures++ {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return
			}
			err := q.countOnce(ctx)
			if err == nil || ctx.Err() != nil {
				break
			}
			if failures == 0 {
				q.cfg.Log.Warn("count the store failed", "error", err)
			}
			wait = time.Minute
		}
	}
}

// countOnce counts all keys, unless another node does or has just done it.
func (q *StoreQuota) countOnce(ctx context.Context) error {
	claim := q.cfg.Keys.StoreCount(q.cfg.App, "claim")
	reply, err := q.cfg.Redis.Do(ctx, "SET", claim, 1, "NX", "PX", (countEvery - time.Minute).Milliseconds())
	if err == redisconn.Nil || err == nil && reply == nil {
		return nil
	}
	if err == nil {
		err = q.Count(ctx)
	}
	if err != nil {
		_, _ = q.cfg.Redis.Do(ctx, "DEL", claim) // another node may try; else the claim runs out
	}
	return err
}

// Count looks at all keys of the store, and at all that are counted.
func (q *StoreQuota) Count(ctx context.Context) error {
	err := q.scan(ctx, 1, "SCAN", func(cursor string) []any {
		return []any{"SCAN", cursor, "MATCH", globEscaper.Replace(q.cfg.Keys.Store(q.cfg.App, "")) + "*", "COUNT", countPage}
	})
	if err != nil {
		return err
	}
	return q.scan(ctx, 2, "HSCAN", func(cursor string) []any {
		return []any{"HSCAN", q.cfg.Keys.StoreCount(q.cfg.App, "sizes"), cursor, "COUNT", countPage}
	})
}

// scan counts the keys that a command lists page by page, every step-th item being one.
func (q *StoreQuota) scan(ctx context.Context, step int, name string, command func(cursor string) []any) error {
	for cursor := "0"; ; {
		reply, err := q.cfg.Redis.Do(ctx, command(cursor)...)
		if err != nil {
			return fmt.Errorf("list what the store holds: %w", err)
		}
		page, _ := reply.([]any)
		if len(page) != 2 {
			return fmt.Errorf("unexpected answer of Redis to %s", name)
		}
		cursor, _ = page[0].(string)
		items, _ := page[1].([]any)
		for len(items) > 0 {
			n := min(len(items), countPage*step)
			keys := make([]any, 0, n/step)
			for i := 0; i < n; i += step {
				keys = append(keys, items[i])
			}
			if _, err := q.cfg.Redis.Run(ctx, storeCountScript, q.counts(), keys...); err != nil {
				return fmt.Errorf("count what the store holds: %w", err)
			}
			items = items[n:]
		}
		if cursor == "0" || cursor == "" {
			return nil
		}
	}
}

// counts are the keys of the count.
func (q *StoreQuota) counts() []string {
	k, app := q.cfg.Keys, q.cfg.App
	return []string{k.StoreCount(app, "sizes"), k.StoreCount(app, "ttls"), k.StoreCount(app, "sum")}
}

// write runs a command that changes a key. An error of the quota says what is full.
func (q *StoreQuota) write(ctx context.Context, command []any) (any, error) {
	key, _ := command[1].(string)
	args := append([]any{q.cfg.MaxKeys, q.cfg.MaxBytes, command[0]}, command[2:]...)
	reply, err := q.cfg.Redis.Run(ctx, storeWriteScript, append([]string{key}, q.counts()...), args...)
	if err != nil {
		return nil, err
	}
	if refused, ok := reply.([]any); ok && len(refused) == 2 && refused[0] == "quota" {
		most := q.cfg.MaxKeys
		if refused[1] == "bytes" {
			most = q.cfg.MaxBytes
		}
		return nil, fmt.Errorf("the store is full: it may hold %d %v (--store-quota)", most, refused[1])
	}
	return reply, nil
}

// globEscaper makes a text one that a pattern of Redis matches as it is.
var globEscaper = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`, `^`, `\^`)
