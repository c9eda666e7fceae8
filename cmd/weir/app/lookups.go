package app

import (
	"google.golang.org/grpc"

	"github.com/weir-ml/weir/serving"
)

// startFeatures answers lookups over gRPC, and over HTTP beside metrics and health.
func (a *App) startFeatures(g grpc.ServiceRegistrar, s *serving.Server, l *serving.Lookups) {
	f := serving.NewFeatures(l)
	f.Register(g)
	for pattern, h := range f.HTTPRoutes(s) {
		a.http.mux.Handle(pattern, h)
	}
}
