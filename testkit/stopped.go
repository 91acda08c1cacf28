package testkit

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Stopped waits until a process that was sent SIGSTOP has stopped: each of its threads does when it next may, and until
// then the process goes on. Where /proc does not tell, as on systems other than Linux, it does not wait.
func Stopped(pid int) {
	for end := time.Now().Add(timeout); runs(pid) && time.Now().Before(end); time.Sleep(time.Millisecond) {
		continue
	}
}

// runs tells whether a thread of a process is not stopped.
func runs(pid int) bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, path := range threads {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// The name before may hold spaces and brackets (proc_pid_stat(5)).
		_, state, _ := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')')+1:]), " ")
		if !strings.ContainsAny(state[:min(1, len(state))], "TZX") { // stopped, or at its end
			return true
		}
	}
	return false
}
