package redis

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/weir-ml/weir/registry/feature"
)

// warnOfEviction tells the log when a server is set to drop keys on its own once
// its memory is full: then rows vanish without any mark showing it. It asks
// until the servers have answered; one that does not say is taken for right.
func (s *Store) warnOfEviction(ctx context.Context, log *slog.Logger) {
	for {
		policy, limit, err := s.eviction(ctx)
		switch {
		case err == nil && policy != "":
			log.Warn("the online store's server evicts keys when its memory is full: rows can vanish, and nobody notices before a check does",
				"redis", s.cfg.Addrs, "maxmemory_policy", policy, "maxmemory", limit,
				"do", "set maxmemory-policy noeviction; ingestion then waits while the memory is full")
			return
		case err == nil || feature.KindOf(err) != feature.Unavailable:
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(5 * time.Second):
		}
	}
}

// eviction is the policy and limit of the first server that evicts; "" when none does.
func (s *Store) eviction(ctx context.Context) (policy, limit string, err error) {
	servers, err := s.servers(ctx)
	if err != nil {
		return "", "", s.classify("info", err)
	}
	for _, c := range servers {
		// INFO says it as well as CONFIG GET, which many a provider refuses.
		info, err := c.Info(ctx, "memory").Result()
		if err != nil {
			return "", "", s.classify("info", err)
		}
		said := map[string]string{}
		for line := range strings.Lines(info) {
			k, v, _ := strings.Cut(strings.TrimSpace(line), ":")
			said[k] = v
		}
		policy, limit = said["maxmemory_policy"], said["maxmemory"]
		if policy != "" && policy != "noeviction" && limit != "0" {
			return policy, limit, nil
		}
	}
	return "", "", nil
}
