package serving

import (
	"context"

	"google.golang.org/grpc"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
)

// Features is weir.v1.FeatureService: questions read from the bytes of requests, answers
// written as the bytes of theirs. Only clients use the generated types.
type Features struct {
	lookups  *Lookups
	requests requests
	replies  replies
}

// NewFeatures makes the service.
func NewFeatures(l *Lookups) *Features { return &Features{lookups: l} }

// Register adds the service to a Server.
func (f *Features) Register(r grpc.ServiceRegistrar) { r.RegisterService(&featuresDesc, f) }

// featuresDesc is what weirv1.FeatureService_ServiceDesc is, with the types of this package in the handlers.
var featuresDesc = grpc.ServiceDesc{
	ServiceName: "weir.v1.FeatureService",
	HandlerType: (*any)(nil),
	Methods:     []grpc.MethodDesc{{MethodName: "Lookup", Handler: lookupHandler}},
	Streams:     []grpc.StreamDesc{{StreamName: "LookupStream", Handler: lookupStreamHandler, ServerStreams: true}},
	Metadata:    "weir/v1/features.proto",
}

func lookupHandler(srv any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
	f := srv.(*Features)
	req := f.requests.get()
	if err := decode(req); err != nil {
		req.free()
		return nil, err
	}
	if intercept == nil {
		return f.answer(ctx, req)
	}
	info := &grpc.UnaryServerInfo{Server: srv, FullMethod: weirv1.FeatureService_Lookup_FullMethodName}
	return intercept(ctx, req, info, func(ctx context.Context, req any) (any, error) { return f.answer(ctx, req.(*request)) })
}

// Lookup answers an encoded weir.v1.LookupRequest with an encoded LookupResponse.
func (f *Features) Lookup(ctx context.Context, message []byte) (Encoded, error) {
	req := f.requests.get()
	if err := req.Decode(message); err != nil {
		req.free()
		return nil, err
	}
	return f.answer(ctx, req)
}

// answer owns the request; who sends the answer frees it.
func (f *Features) answer(ctx context.Context, req *request) (Encoded, error) {
	a, err := f.lookups.Ask(ctx, &req.Question)
	if err != nil {
		req.free()
		return nil, err
	}
	return f.replies.of(a, req, req.statuses, req.times, 0), nil
}
