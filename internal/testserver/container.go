package testserver

import (
	"context"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/testcontainers/testcontainers-go"
)

// engine reports whether a container engine answers. WEIR_TEST_NATIVE=1 says no.
var engine = sync.OnceValue(func() (ok bool) {
	if nativeOnly() {
		return false
	}
	defer func() {
		if recover() != nil { // the library panics on some machines without an engine
			ok = false
		}
	}()
	p, err := testcontainers.NewDockerProvider()
	if err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	return p.Health(ctx) == nil
})

type container struct {
	*testcontainers.DockerContainer
	addr string // outside the container
}

// runContainer starts an image with one port, which it also removes later.
func runContainer(ctx context.Context, image, port string, later func(func()), env map[string]string, cmd ...string) (*container, error) {
	opts := []testcontainers.ContainerCustomizer{testcontainers.WithExposedPorts(port)}
	if env != nil {
		opts = append(opts, testcontainers.WithEnv(env))
	}
	if len(cmd) > 0 {
		if cmd[0] == "sh" {
			opts = append(opts, testcontainers.WithEntrypoint(cmd...))
		} else {
			opts = append(opts, testcontainers.WithCmd(cmd...))
		}
	}
	c, err := testcontainers.Run(ctx, image, opts...)
	if c != nil {
		later(func() { testcontainers.TerminateContainer(c) })
	}
	if err != nil {
		return nil, err
	}
	host, err := c.Host(ctx)
	if err != nil {
		return nil, err
	}
	mapped, err := c.MappedPort(ctx, port)
	if err != nil {
		return nil, err
	}
	number, _, _ := strings.Cut(mapped.String(), "/")
	return &container{c, net.JoinHostPort(host, number)}, nil
}

// await calls ready until it returns nil or ctx ends.
func await(ctx context.Context, ready func(context.Context) error) error {
	for {
		try, cancel := context.WithTimeout(ctx, 2*time.Second)
		err := ready(try)
		cancel()
		if err == nil || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}
