package testkit

import (
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
)

func TestStopped(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only /proc tells")
	}
	if !runs(os.Getpid()) {
		t.Error("this process is taken for a stopped one")
	}
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	Stopped(cmd.Process.Pid)
	if runs(cmd.Process.Pid) {
		t.Error("it has not stopped")
	}
	if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	Eventually(t, "it goes on", func() bool { return runs(cmd.Process.Pid) })
	_ = cmd.Process.Kill()
	Stopped(cmd.Process.Pid) // one that has ended runs no more
}
