//go:build peers || loop

package platform

import (
	"bufio"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestProgramsDieWithTheirParent: a test that is killed leaves nothing running.
func TestProgramsDieWithTheirParent(t *testing.T) {
	if log := os.Getenv("PLATFORM_TEST_PARENT"); log != "" {
		p := run(t, "sleep", log, "", nil, "sleep", "1000")
		os.Stdout.WriteString("\npid " + strconv.Itoa(p.cmd.Process.Pid) + "\n")
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^TestProgramsDieWithTheirParent$")
	cmd.Env = append(os.Environ(), "PLATFORM_TEST_PARENT="+t.TempDir()+"/log")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := 0
	for s := bufio.NewScanner(out); s.Scan(); {
		if n, ok := strings.CutPrefix(s.Text(), "pid "); ok {
			if pid, err = strconv.Atoi(n); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait()
	if pid == 0 {
		t.Fatal("the child did not start")
	}
	gone := func() bool { // or a zombie, where nobody takes in orphans
		b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		return err != nil || strings.Contains(string(b), ") Z ")
	}
	for deadline := time.Now().Add(30 * time.Second); !gone(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			t.Fatal("the program is still there")
		}
	}
}
