package serving

import (
	"context"
	"errors"
	"log/slog"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/weir-ml/weir/registry/feature"
)

var grpcCodes = map[feature.ErrorKind]codes.Code{
	feature.Internal:     codes.Internal,
	feature.Invalid:      codes.InvalidArgument,
	feature.NotFound:     codes.NotFound,
	feature.Conflict:     codes.Aborted,
	feature.Unavailable:  codes.Unavailable,
	feature.Unsupported:  codes.Unimplemented,
	feature.Exhausted:    codes.ResourceExhausted,
	feature.Unauthorized: codes.PermissionDenied,
}

// toStatus turns the error of a handler into what the client gets. A fault of
// ours is logged whole and told as no more than that.
func toStatus(ctx context.Context, log *slog.Logger, method string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return status.FromContextError(ctx.Err()).Err()
	}
	var fe *feature.Error
	if errors.As(err, &fe) && fe.Kind != feature.Internal {
		return status.Error(grpcCodes[fe.Kind], err.Error())
	}
	if s, ok := status.FromError(err); ok && fe == nil {
		return s.Err()
	}
	log.Error("call failed", "method", method, "err", err)
	return status.Error(codes.Internal, "an internal fault; the server's log has the details")
}
