package feast

import (
	"context"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	feastserving "github.com/weir-ml/weir/proto/feast/serving"
)

// Register offers feast.serving.ServingService. The server must have serving's codec:
// requests and answers are read and written without messages being made of them.
func Register(g grpc.ServiceRegistrar, s *Service) {
	l := &lookups{Service: s}
	l.requests.New = func() any {
		r := &wireRequest{}
		r.out.free = func() { l.done(r) }
		return r
	}
	desc := grpc.ServiceDesc{
		ServiceName: feastserving.ServingService_ServiceDesc.ServiceName,
		HandlerType: (*any)(nil),
		Metadata:    feastserving.ServingService_ServiceDesc.Metadata,
		Methods: []grpc.MethodDesc{
			{MethodName: "GetFeastServingInfo", Handler: s.info},
			{MethodName: "GetOnlineFeatures", Handler: l.call},
		},
	}
	g.RegisterService(&desc, s)
}

func (s *Service) info(_ any, ctx context.Context, dec func(any) error, via grpc.UnaryServerInterceptor) (any, error) {
	in := &feastserving.GetFeastServingInfoRequest{}
	if err := dec(in); err != nil {
		return nil, err
	}
	return through(ctx, s, in, feastserving.ServingService_GetFeastServingInfo_FullMethodName, via, func(context.Context, any) (any, error) {
		return &feastserving.GetFeastServingInfoResponse{Version: s.version}, nil
	})
}

// lookups keeps the memory of requests.
type lookups struct {
	*Service
	requests sync.Pool // *wireRequest
}

func (l *lookups) call(_ any, ctx context.Context, dec func(any) error, via grpc.UnaryServerInterceptor) (any, error) {
	in := l.requests.Get().(*wireRequest)
	if err := dec(in); err != nil {
		return nil, err
	}
	return through(ctx, l.Service, in, feastserving.ServingService_GetOnlineFeatures_FullMethodName, via, func(ctx context.Context, _ any) (any, error) {
		in.project = ""
		if md := metadata.ValueFromIncomingContext(ctx, ProjectHeader); len(md) > 0 {
			in.project = md[0]
		}
		a, err := l.find(ctx, &in.wanted, fillWire)
		if err != nil {
			return nil, err
		}
		in.out.answer = a
		return &in.out, nil
	})
}

// done keeps the memory of a request of the usual size.
func (l *lookups) done(r *wireRequest) {
	if cap(r.buf) <= 1<<20 {
		l.requests.Put(r)
	}
}

func through(ctx context.Context, srv, in any, method string, via grpc.UnaryServerInterceptor, next grpc.UnaryHandler) (any, error) {
	if via == nil {
		return next(ctx, in)
	}
	return via(ctx, in, &grpc.UnaryServerInfo{Server: srv, FullMethod: method}, next)
}
