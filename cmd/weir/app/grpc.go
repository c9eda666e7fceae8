package app

import (
	"context"
	"path/filepath"
	"time"

	"google.golang.org/grpc"

	"github.com/weir-ml/weir/cmd/weir/api"
	"github.com/weir-ml/weir/drift"
	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/ingest/quarantine"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/flight"
	"github.com/weir-ml/weir/online"
	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/serving"
	"github.com/weir-ml/weir/validate/quality"
)

// startServers runs the gRPC server with every service of weir.v1. What needs a
// role that this process does not run says so.
func (a *App) startServers() (service, error) {
	if a.grpcAddr != "" {
		return service{}, nil // another role has started it
	}
	s, err := serving.NewServer(a.cfg.Serving, a.log, a.metrics)
	if err != nil {
		return service{}, err
	}
	a.server, a.grpcAddr = s, s.Addr()
	s.Needs(a.answers, "weir.v1.FeatureService", "feast.serving.ServingService")
	reader := online.NewReader(online.InFront(a.store, a.cfg.Online, nil, a.metrics), nil, a.log, a.onlineMetrics)
	g := s.Registrar()
	lookups := serving.NewLookups(s, a.registry, func(svc *feature.Service) (serving.Plan, error) { return reader.Compile(svc) })
	if err := a.startLog(lookups); err != nil {
		return service{}, err
	}
	a.startFeatures(g, s, lookups)
	a.startFeast(g, s, lookups)
	weirv1.RegisterRegistryServiceServer(g, &api.Definitions{Registry: a.registry, Previews: a.previews(), Advise: a.cfg.advise,
		Guards: (&api.Ingest{Shadow: a.ingestMetrics.Shadow, Pauses: a.pauses}).Properties})
	weirv1.RegisterModelServiceServer(g, &api.Models{Registry: a.registry})
	weirv1.RegisterLineageServiceServer(g, &api.Lineage{Registry: a.registry, Tables: a.tables})
	training := &api.Training{Registry: a.registry, Tables: a.tables, Maker: offline.NewSnapshots(a.snapshotRecords(), a.log, nil).In(a.joins), Joins: a.joins}
	weirv1.RegisterSnapshotServiceServer(g, &api.Snapshots{Records: a.definition, Log: a.log, Training: training})
	weirv1.RegisterExportServiceServer(g, &api.Exports{Training: training, Now: time.Now})
	if err := a.startFlight(g, training); err != nil {
		return service{}, err
	}
	weirv1.RegisterUpkeepServiceServer(g, a.upkeep())
	weirv1.RegisterTableServiceServer(g, &api.Tables{Registry: a.registry, Tables: a.tables, Topic: a.topicLog})
	weirv1.RegisterEventServiceServer(g, &api.Events{Reader: drift.NewReader(a.drift), Outbox: a.drift, Told: a.kickDispatch})
	weirv1.RegisterQualityServiceServer(g, &api.Quality{Registry: a.registry, Reader: quality.NewReader(a.quality, a.clocks)})
	return service{"grpc", func(ctx context.Context) error {
		a.registerLate(g)
		return s.Serve(ctx)
	}}, nil
}

// startFlight adds Arrow Flight to the gRPC server: training sets for pyarrow, and for Feast's SDK.
func (a *App) startFlight(g grpc.ServiceRegistrar, t offline.Trainer) error {
	f, err := flight.New(flight.Options{Config: a.cfg.Flight, Trainer: t, Catalogs: a.registry,
		Folder: filepath.Join(a.cfg.DataDir, "uploads"), MaxMessage: a.cfg.Serving.MaxMessage})
	if err != nil {
		return err
	}
	a.onClose("spines that wait", f.Close)
	flight.Register(g, f)
	return nil
}

// registerLate registers the services that need other roles, once all of them are made.
func (a *App) registerLate(g grpc.ServiceRegistrar) {
	spool := filepath.Join(a.cfg.DataDir, "incoming")
	api.SweepSpool(spool)
	weirv1.RegisterIngestServiceServer(g, &api.Ingest{Registry: a.registry, Tables: a.tables, Supervisor: a.supervisor, Importer: a.importer,
		Held: a.ingestMetrics.Held, Newest: a.ingestMetrics.Newest, Shadow: a.ingestMetrics.Shadow, Pauses: a.pauses, LogEnds: ingest.EndsOf(a.kafka), Spool: spool, Place: a.importPlace})
	weirv1.RegisterQuarantineServiceServer(g, &api.Quarantine{Registry: a.registry, Reader: quarantine.NewReader(a.kafka...), Rows: a.rowsWithin, Replayer: a.replayer})
	weirv1.RegisterProfileServiceServer(g, &api.Profiles{Registry: a.registry, Reader: drift.NewReader(a.drift)})
	weirv1.RegisterMonitorServiceServer(g, &api.Monitors{Registry: a.registry, Reader: drift.NewReader(a.drift), Watch: a.watch,
		History: &drift.Backtester{Store: a.drift, Models: a.registry, References: profiles{a}, History: history{a.tables}, Spill: a.joinConfig().SpillDir}})
}
