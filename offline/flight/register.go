package flight

import (
	genflight "github.com/apache/arrow-go/v18/arrow/flight/gen/flight"
	"google.golang.org/grpc"
)

// Register puts the service on a gRPC server, beside whatever else it answers.
func Register(g grpc.ServiceRegistrar, s *Service) { genflight.RegisterFlightServiceServer(g, s) }
