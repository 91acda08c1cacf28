package redistest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// DownAfter is how long a master says nothing until Sentinel takes it for dead, if nobody says otherwise.
const DownAfter = time.Second

// SetDownAfter has Sentinel wait for so long, once it hears the master.
func (r *Redis) SetDownAfter(d time.Duration) {
	r.t.Helper()
	for _, p := range r.sentinels {
		r.waitUntil("sentinel hears the master", func(ctx context.Context) bool {
			master, err := p.Client().Do(ctx, "sentinel", "master", masterName).StringSlice()
			i := slices.Index(master, "last-ping-sent") // 0: it is answered
			if err != nil || i < 0 || i+1 == len(master) {
				return false
			}
			ago, err := strconv.Atoi(master[i+1])
			return err == nil && time.Duration(ago)*time.Millisecond < d/2
		})
		r.waitUntil("sentinel takes a setting", func(ctx context.Context) bool {
			return p.Client().Do(ctx, "sentinel", "set", masterName, "down-after-milliseconds", d.Milliseconds()).Err() == nil
		})
	}
}

// writeConfig writes the sentinel's file, which it writes to itself, and returns its path.
func (p *Process) writeConfig(masterPort int) string {
	p.t.Helper()
	path := filepath.Join(p.dir, "sentinel.conf")
	text := fmt.Sprintf(`port %d
bind 127.0.0.1
dir %s
logfile log
sentinel monitor %s 127.0.0.1 %d 1
sentinel down-after-milliseconds %s %d
sentinel failover-timeout %s 3000
`, p.port, p.dir, masterName, masterPort, masterName, DownAfter.Milliseconds(), masterName)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		p.t.Fatalf("write sentinel.conf: %v", err)
	}
	return path
}
