package serving

import (
	"context"
	"strconv"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/weir-ml/weir/proto/inference"
)

// projectHeader names the project where the request has no room for it.
const projectHeader = "x-weir-project"

// inferenceCalls is inference.GRPCInferenceService. Its ModelInfer reads requests from their bytes and writes answers as
// the bytes of theirs; the other calls are the generated ones.
type inferenceCalls struct {
	inference.UnimplementedGRPCInferenceServiceServer
	h *Inference
}

// Register adds the calls of gRPC to a Server.
func (h *Inference) Register(r grpc.ServiceRegistrar) {
	desc := inference.GRPCInferenceService_ServiceDesc
	desc.Methods = append([]grpc.MethodDesc(nil), desc.Methods...)
	for i := range desc.Methods {
		if desc.Methods[i].MethodName == "ModelInfer" {
			desc.Methods[i].Handler = modelInferHandler
		}
	}
	r.RegisterService(&desc, inferenceCalls{h: h})
}

func modelInferHandler(srv any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
	h := srv.(inferenceCalls).h
	req := h.requests.get()
	if err := decode(req); err != nil {
		h.requests.put(req)
		return nil, err
	}
	if intercept == nil {
		return h.modelInfer(ctx, req)
	}
	info := &grpc.UnaryServerInfo{Server: srv, FullMethod: inference.GRPCInferenceService_ModelInfer_FullMethodName}
	return intercept(ctx, req, info, func(ctx context.Context, req any) (any, error) { return h.modelInfer(ctx, req.(*inferRequest)) })
}

// ModelInfer answers an encoded inference.ModelInferRequest with an encoded ModelInferResponse.
func (h *Inference) ModelInfer(ctx context.Context, message []byte) (Encoded, error) {
	req := h.requests.get()
	_ = req.Decode(message)
	return h.modelInfer(ctx, req)
}

// modelInfer owns the request; who sends the answer frees it.
func (h *Inference) modelInfer(ctx context.Context, req *inferRequest) (Encoded, error) {
	reply, err := h.lookUp(ctx, req)
	if err != nil {
		h.requests.put(req)
		return nil, err
	}
	return reply, nil
}

func (h *Inference) lookUp(ctx context.Context, req *inferRequest) (*inferReply, error) {
	if err := req.readMessage(); err != nil {
		return nil, err
	}
	req.Project, req.most = callProject(ctx), h.lookups.cfg.MaxRows
	a, err := h.lookups.Ask(ctx, &req.Question)
	if err != nil {
		return nil, err
	}
	defer a.Release()
	reply, err := h.replies.of(req, a, h.lookups.cfg.MaxMessage/8)
	if err != nil {
		a.Discard(err)
	}
	return reply, err
}

func callProject(ctx context.Context) string {
	if v := metadata.ValueFromIncomingContext(ctx, projectHeader); len(v) > 0 {
		return v[0]
	}
	return ""
}

func (c inferenceCalls) ServerLive(context.Context, *inference.ServerLiveRequest) (*inference.ServerLiveResponse, error) {
	return &inference.ServerLiveResponse{Live: true}, nil
}

func (c inferenceCalls) ServerReady(ctx context.Context, _ *inference.ServerReadyRequest) (*inference.ServerReadyResponse, error) {
	return &inference.ServerReadyResponse{Ready: c.h.ready(ctx) == ""}, nil
}

func (c inferenceCalls) ModelReady(ctx context.Context, q *inference.ModelReadyRequest) (*inference.ModelReadyResponse, error) {
	if _, err := c.h.of(ctx, callProject(ctx), q.Name, q.Version); err != nil {
		return nil, err
	}
	return &inference.ModelReadyResponse{Ready: c.h.ready(ctx) == ""}, nil
}

func (c inferenceCalls) ServerMetadata(context.Context, *inference.ServerMetadataRequest) (*inference.ServerMetadataResponse, error) {
	return &inference.ServerMetadataResponse{Name: serverName, Version: c.h.version, Extensions: []string{rawTensors}}, nil
}

func (c inferenceCalls) ModelMetadata(ctx context.Context, q *inference.ModelMetadataRequest) (*inference.ModelMetadataResponse, error) {
	p, err := c.h.of(ctx, callProject(ctx), q.Name, q.Version)
	if err != nil {
		return nil, err
	}
	return &inference.ModelMetadataResponse{Name: p.service.Meta.Name, Versions: []string{strconv.Itoa(p.service.Version)}, Platform: platform,
		Inputs: told(inputsOf(p)), Outputs: told(outputsOf(p.service))}, nil
}

func told(tensors []inferTold) (out []*inference.ModelMetadataResponse_TensorMetadata) {
	for _, t := range tensors {
		m := &inference.ModelMetadataResponse_TensorMetadata{Name: t.name, Datatype: t.kind.String(), Shape: t.shape, Parameters: map[string]*inference.InferParameter{}}
		for _, p := range t.params {
			m.Parameters[p[0]] = &inference.InferParameter{ParameterChoice: &inference.InferParameter_StringParam{StringParam: p[1]}}
		}
		out = append(out, m)
	}
	return out
}
