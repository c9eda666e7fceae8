package main

import (
	"context"
	"fmt"
	"path/filepath"
)

const (
	memoryPartitions = 200
	memoryTarget     = 512 // MiB
)

// measureMemory has a worker with its default settings take in a topic of 200
// partitions, as fast as it can: all events stand in Kafka when it starts.
func measureMemory(ctx context.Context, r *run) error {
	const events = 4_000_000
	k, err := r.kafka(ctx, "memory")
	if err != nil {
		return err
	}
	defer k.stop()
	if err := publish(ctx, k.addr, memoryPartitions, events); err != nil {
		return err
	}
	redis, err := r.redis(ctx, "memory")
	if err != nil {
		return err
	}
	settings := []string{"kafka.brokers=" + k.addr, "kafka.replicas=1"}
	if err := r.memory(ctx, "table", "a worker with 200 partitions under full load: peak memory", events, settings); err != nil || redis == nil {
		return err
	}
	defer redis.Stop()
	return r.memory(ctx, "online", "the same, and to a real Redis: peak memory", events, append(settings, "redis.addrs="+redis.Addr))
}

func (r *run) memory(ctx context.Context, name, what string, events int, settings []string) error {
	p, err := r.role(ctx, "ingest", filepath.Join(r.dir, "memory-"+name), "", settings...)
	if err != nil {
		return err
	}
	before := p.peakMemory()
	f, err := p.flow(ctx, events, name == "online")
	peak := p.peakMemory()
	if serr := p.stop(); err == nil {
		err = serr
	}
	if err != nil {
		return err
	}
	r.add(Line{What: what, Value: float64(peak) / (1 << 20), Unit: "MiB", Target: memoryTarget, CPU: f.cpu / f.events, CPUUnit: "event",
		Note: fmt.Sprintf("resident set of the process, as the kernel counts it; %s MiB before it read; %s events at %s events/s by the clock", number(float64(before)/(1<<20)), number(f.events), number(f.events/f.seconds))})
	return nil
}
