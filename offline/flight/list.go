package flight

import (
	"context"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	arrowflight "github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
)

// RoleKey is the key in a column's metadata of what it is in a listed schema: key, time or feature.
// ViewKey is that of a feature's view.
const (
	RoleKey = "weir.role"
	ViewKey = "weir.view"
)

// ListFlights lists the services, those of one project where the criteria name it.
// The schema of each is that of its training sets for a spine of nothing but keys and time.
func (s *Service) ListFlights(c *arrowflight.Criteria, stream arrowflight.FlightService_ListFlightsServer) error {
	cat, err := s.opts.Catalogs.Current(stream.Context())
	if err != nil {
		return err
	}
	for _, svc := range cat.Services() {
		if p := string(c.GetExpression()); p != "" && p != svc.Meta.Project {
			continue
		}
		if err := stream.Send(&arrowflight.FlightInfo{
			FlightDescriptor: &arrowflight.FlightDescriptor{Type: arrowflight.DescriptorPATH, Path: []string{svc.Meta.Project, svc.Meta.Name}},
			Schema:           arrowflight.SerializeSchema(serviceSchema(svc), memory.DefaultAllocator),
			TotalRecords:     -1, TotalBytes: -1,
		}); err != nil {
			return err
		}
	}
	return nil
}

// GetSchema is the schema of a service's training sets, as ListFlights has it.
func (s *Service) GetSchema(ctx context.Context, d *arrowflight.FlightDescriptor) (*arrowflight.SchemaResult, error) {
	own, feast, err := descriptor(d)
	if err != nil {
		return nil, err
	}
	if feast != nil {
		return nil, feast.unsupported()
	}
	b, err := s.schema(ctx, own)
	if err != nil {
		return nil, err
	}
	return &arrowflight.SchemaResult{Schema: b}, nil
}

func (s *Service) schema(ctx context.Context, c *Command) ([]byte, error) {
	if c.Service == "" {
		return emptySchema(), nil // features by name have one when their spine is there
	}
	cat, err := s.opts.Catalogs.Current(ctx)
	if err != nil {
		return nil, err
	}
	project := c.Project
	if project == "" {
		project = registry.DefaultProject
	}
	svc, err := cat.Service(project, c.Service)
	if err != nil {
		return nil, err
	}
	return arrowflight.SerializeSchema(serviceSchema(svc), memory.DefaultAllocator), nil
}

func emptySchema() []byte {
	return arrowflight.SerializeSchema(arrow.NewSchema(nil, nil), memory.DefaultAllocator)
}

func serviceSchema(svc *feature.Service) *arrow.Schema {
	var fields []arrow.Field
	for _, v := range svc.Views {
		for _, k := range v.Keys {
			if !slices.ContainsFunc(fields, func(f arrow.Field) bool { return f.Name == k.Name }) {
				fields = append(fields, arrow.Field{Name: k.Name, Type: k.Type.Arrow(), Nullable: true, Metadata: about(RoleKey, "key")})
			}
		}
	}
	fields = append(fields, arrow.Field{Name: offline.DefaultTimeColumn, Type: feature.Timestamp.Arrow(), Nullable: true, Metadata: about(RoleKey, "time")})
	for _, c := range svc.Columns {
		v := svc.Views[c.View]
		fields = append(fields, arrow.Field{Name: c.Name, Type: v.Features[c.Feature].Type.Exchange(), Nullable: true,
			Metadata: about(RoleKey, "feature", ViewKey, v.Meta.Name)})
	}
	return arrow.NewSchema(fields, nil)
}

func about(pairs ...string) arrow.Metadata {
	var keys, values []string
	for i := 0; i < len(pairs); i += 2 {
		keys, values = append(keys, pairs[i]), append(values, pairs[i+1])
	}
	return arrow.NewMetadata(keys, values)
}

// ListActions lists none: everything is a flight.
func (s *Service) ListActions(*arrowflight.Empty, arrowflight.FlightService_ListActionsServer) error {
	return nil
}

// DoAction refuses every action.
func (s *Service) DoAction(a *arrowflight.Action, _ arrowflight.FlightService_DoActionServer) error {
	return feature.Errorf(feature.Unsupported, opFlight, "action "+a.GetType(), "there are no actions").
		WithHint("training sets come by do_exchange; everything else is in weir.v1, which gRPC reflection shows")
}
