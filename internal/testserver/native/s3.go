package native

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// S3Version is the Versity gateway that scripts/setup-test.sh builds: an S3 server over a folder.
const S3Version = "1.8.0"

// S3 is a server of objects. Stop, Kill, Pause and Resume are its Process'; what it acknowledged is there after a
// Stop and after a Kill.
type S3 struct {
	*Process
	Addr              string // host:port
	AccessKey, Secret string
	path              string
	dir               string
}

// URL names the server with its keys, as WEIR_TEST_S3 does.
func (s *S3) URL() string {
	return (&url.URL{Scheme: "http", User: url.UserPassword(s.AccessKey, s.Secret), Host: s.Addr}).String()
}

// S3Home is the folder that scripts/setup-test.sh puts the server into.
func S3Home() string { return filepath.Join(cacheHome(), "versitygw-"+S3Version) }

// cacheHome is where scripts/setup-test.sh puts what it fetches.
func cacheHome() string {
	cache := os.Getenv("XDG_CACHE_HOME")
	if cache == "" {
		home, _ := os.UserHomeDir()
		cache = filepath.Join(home, ".cache")
	}
	return filepath.Join(cache, "weir")
}

// StartS3 runs a server with its buckets in dir, with keys of its own.
func StartS3(ctx context.Context, dir string) (*S3, error) {
	path := filepath.Join(S3Home(), "versitygw")
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("versitygw is %w in %s (run scripts/setup-test.sh)", ErrAbsent, S3Home())
	}
	ports, err := FreePorts(1)
	if err != nil {
		return nil, err
	}
	var secret [16]byte
	_, _ = rand.Read(secret[:])
	s := &S3{Addr: fmt.Sprintf("127.0.0.1:%d", ports[0]), AccessKey: "weirtest", Secret: hex.EncodeToString(secret[:]), path: path, dir: dir}
	if err := os.Mkdir(filepath.Join(dir, "buckets"), 0o755); err != nil {
		return nil, err
	}
	return s, s.Start(ctx)
}

// Start runs a stopped server again: same port, same buckets, same keys.
func (s *S3) Start(ctx context.Context) error {
	cmd := exec.Command(s.path, "--port", s.Addr, "--quiet", "--keep-alive", "--health", "/weir-test-health",
		"posix", filepath.Join(s.dir, "buckets"))
	// Not on the command line, where every process of the machine could read them.
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+s.AccessKey, "ROOT_SECRET_KEY="+s.Secret)
	p, err := start(cmd, filepath.Join(s.dir, "s3.log"), syscall.SIGTERM)
	if err != nil {
		return err
	}
	s.Process = p
	return p.await(ctx, func(ctx context.Context) error { return S3Ready(ctx, s.Addr) })
}

// S3Ready is nil once the server answers.
func S3Ready(ctx context.Context, addr string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/weir-test-health", nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	return res.Body.Close()
}
