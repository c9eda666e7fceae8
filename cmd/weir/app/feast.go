package app

import (
	"github.com/twmb/franz-go/pkg/kadm"
	"google.golang.org/grpc"

	"github.com/weir-ml/weir/serving"
	"github.com/weir-ml/weir/serving/feast"
)

// startFeast offers Feast's API beside Weir's own: over gRPC, and at the paths of
// Feast's feature server over HTTP.
func (a *App) startFeast(g grpc.ServiceRegistrar, s *serving.Server, l *serving.Lookups) {
	c := a.cfg.Feast
	if c.Project == "" {
		c.Project = a.cfg.Project
	}
	if a.cfg.EmbeddedKafka() {
		a.writes.topics = &topics{adm: kadm.NewClient(a.producer), n: int32(a.cfg.Kafka.Partitions), there: map[string]bool{}}
	}
	f := feast.New(feast.Options{Config: c, Version: a.Version, Lookups: l, Catalogs: a.registry, Writer: a.writes, Ready: a.unready})
	feast.Register(g, f)
	feast.Mount(a.http.mux, s, f)
}
