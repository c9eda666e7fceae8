package app

import (
	"net/http"

	"google.golang.org/grpc"

	"github.com/weir-ml/weir/serving"
)

// startFeatures answers lookups over gRPC, and over HTTP beside metrics and health.
func (a *App) startFeatures(g grpc.ServiceRegistrar, s *serving.Server, l *serving.Lookups) {
	f := serving.NewFeatures(l)
	f.Register(g)
	i := serving.NewInference(l, a.Version, a.unready)
	i.Register(g)
	for _, routes := range []map[string]http.Handler{f.HTTPRoutes(s), i.HTTPRoutes(s)} {
		for pattern, h := range routes {
			a.http.mux.Handle(pattern, h)
		}
	}
}
