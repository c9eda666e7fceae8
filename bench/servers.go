package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/weir-ml/weir/cmd/weir/embedded"
	"github.com/weir-ml/weir/internal/testserver/native"
)

// broker is a Kafka outside of the measured process.
type broker struct {
	addr string
	what string // for notes
	stop func() error
}

// kafka starts a real Kafka, as a process of its own. Where none is installed
// the embedded one runs in this process instead, and the lines say so.
func (r *run) kafka(ctx context.Context, name string) (*broker, error) {
	dir := filepath.Join(r.dir, "kafka-"+name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	k, err := native.StartKafka(ctx, dir)
	if err == nil {
		return &broker{addr: k.Addr, what: "Apache Kafka " + native.KafkaVersion, stop: func() error {
			k.Stop()
			return os.RemoveAll(dir) // its log is large
		}}, nil
	}
	if !errors.Is(err, native.ErrAbsent) {
		return nil, err
	}
	fmt.Fprintln(os.Stderr, "  no real Kafka:", err)
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	e, err := embedded.StartKafka(ctx, embedded.KafkaConfig{Dir: dir, Addr: "127.0.0.1:0", Partitions: flowPartitions, Logger: log})
	if err != nil {
		return nil, err
	}
	return &broker{addr: e.Addr(), what: "embedded Kafka in a process of its own", stop: e.Close}, nil
}

// redis starts a real Redis; nil, having said so, where none is installed.
func (r *run) redis(ctx context.Context, name string) (*native.Redis, error) {
	dir := filepath.Join(r.dir, "redis-"+name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	s, err := native.StartRedis(ctx, dir)
	if errors.Is(err, native.ErrAbsent) {
		fmt.Fprintln(os.Stderr, "  not measured with a real Redis:", err)
		return nil, nil
	}
	return s, err
}
