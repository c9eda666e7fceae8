//go:build unix

package sqldbtest

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// keeper starts the server and quits it when its own standard input ends: also
// when the test's process is killed and no clean-up runs.
const keeper = `"$@" & p=$!; read _; kill -QUIT $p; wait $p`

func start(t testing.TB) string {
	t.Helper()
	initdb, server := find("initdb"), find("postgres")
	if initdb == "" || server == "" {
		t.Skipf("SKIP(postgres absent): neither %s nor the binaries initdb and postgres are there", Env)
	}
	attr, uid, gid, err := unprivileged()
	if err != nil {
		t.Skipf("SKIP(postgres absent): %v", err)
	}
	// Not t.TempDir: the server runs as somebody else, and a socket's path is short.
	dir, err := os.MkdirTemp("/tmp", "weirpg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	c := exec.Command(initdb, "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")
	c.Dir, c.SysProcAttr = dir, attr
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	var log bytes.Buffer
	c = exec.Command("/bin/sh", "-c", keeper, "sh", server, "-D", data, "-k", dir,
		"-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=100")
	c.Dir, c.SysProcAttr, c.Stdout, c.Stderr = dir, attr, &log, &log
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { _ = c.Wait(); close(done) }()
	t.Cleanup(func() { _ = in.Close(); <-done })

	u := fmt.Sprintf("postgres://postgres@/postgres?host=%s", dir)
	db, err := sql.Open("pgx", u)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for deadline := time.Now().Add(time.Minute); ; {
		err := db.PingContext(context.Background())
		if err == nil {
			return u
		}
		select {
		case <-done:
			t.Fatalf("postgres stopped:\n%s", log.String())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("postgres does not answer: %v", err)
		}
	}
}

func find(name string) string {
	if p, err := exec.LookPath(name); err == nil {
		return p
	}
	all, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if len(all) > 0 {
		return all[len(all)-1]
	}
	return ""
}

// unprivileged picks who runs the server, which refuses to run as root.
func unprivileged() (attr *syscall.SysProcAttr, uid, gid int, err error) {
	if os.Geteuid() != 0 {
		return nil, os.Getuid(), os.Getgid(), nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, _ = strconv.Atoi(u.Uid)
		gid, _ = strconv.Atoi(u.Gid)
		return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, uid, gid, nil
	}
	return nil, 0, 0, fmt.Errorf("no user other than root to run it as")
}
