package serving

import (
	"context"

	"google.golang.org/grpc/metadata"
)

// requestIDHeader names the inference where the request itself has no room for it, as
// Feast's, or does not say: a header over HTTP, metadata over gRPC. Proxies set it too.
const requestIDHeader = "X-Request-Id"

// requestIDKey is of a context's request id.
type requestIDKey struct{}

// withRequestID keeps an HTTP request's id for the log.
func withRequestID(ctx context.Context, id string) context.Context {
	if id == "" {
		return ctx
	}
	return context.WithValue(ctx, requestIDKey{}, id)
}

// requestID is the request's own id, or that of the call. One of the call that is too
// long is none: who sets it may not be who asks.
func requestID(ctx context.Context, own string) string {
	if own != "" {
		return own
	}
	id, _ := ctx.Value(requestIDKey{}).(string)
	if id == "" {
		if v := metadata.ValueFromIncomingContext(ctx, requestIDHeader); len(v) > 0 {
			id = v[0]
		}
	}
	if len(id) > mostRequestID {
		return ""
	}
	return id
}
