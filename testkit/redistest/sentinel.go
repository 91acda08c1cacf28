package redistest

import (
	"fmt"
	"os"
	"path/filepath"
)

// writeConfig writes the sentinel's file, which it writes to itself, and returns its path.
func (p *Process) writeConfig(masterPort int) string {
	p.t.Helper()
	path := filepath.Join(p.dir, "sentinel.conf")
	text := fmt.Sprintf(`port %d
bind 127.0.0.1
dir %s
logfile log
sentinel monitor %s 127.0.0.1 %d 1
sentinel down-after-milliseconds %s 1000
sentinel failover-timeout %s 3000
`, p.port, p.dir, masterName, masterPort, masterName, masterName)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		p.t.Fatalf("write sentinel.conf: %v", err)
	}
	return path
}
