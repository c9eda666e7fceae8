package serving

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"

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
		return status.Error(grpcCodes[fe.Kind], shortMessage(err.Error()))
	}
	if s, ok := status.FromError(err); ok && fe == nil {
		return s.Err()
	}
	log.Error("call failed", "method", method, "err", err)
	return status.Error(codes.Internal, "an internal fault; the server's log has the details")
}

// A message travels in a header, where some clients take 8 KiB in all: of one that repeats
// a long request the beginning and the end are told. Bytes count as they are sent, where most
// that are not ASCII take three.
const (
	mostHead = 4500
	mostTail = 1500
)

func shortMessage(s string) string {
	if len(s) <= (mostHead+mostTail)/3 {
		return s
	}
	cost := func(c byte) int {
		if c < ' ' || c > '~' || c == '%' {
			return 3
		}
		return 1
	}
	head, tail := 0, len(s)
	for left := mostHead; head < len(s); head++ {
		if left -= cost(s[head]); left < 0 {
			break
		}
	}
	for left := mostTail; tail > head; tail-- {
		if left -= cost(s[tail-1]); left < 0 {
			break
		}
	}
	if head >= tail {
		return s
	}
	return strings.ToValidUTF8(s[:head], "") + " ... " + strings.ToValidUTF8(s[tail:], "")
}

// httpCodes are what the kinds are over HTTP: the status, and its name in the answer.
var httpCodes = map[feature.ErrorKind]struct {
	status int
	name   string
}{
	feature.Internal:     {http.StatusInternalServerError, "internal"},
	feature.Invalid:      {http.StatusBadRequest, "invalid"},
	feature.NotFound:     {http.StatusNotFound, "not_found"},
	feature.Conflict:     {http.StatusConflict, "conflict"},
	feature.Unavailable:  {http.StatusServiceUnavailable, "unavailable"},
	feature.Unsupported:  {http.StatusNotImplemented, "unsupported"},
	feature.Exhausted:    {http.StatusTooManyRequests, "exhausted"},
	feature.Unauthorized: {http.StatusForbidden, "unauthorized"},
}

// clientGone is the status of a call that nobody waits for any more; only metrics see it.
const clientGone = 499

// tooLarge is the cause of an Exhausted that asking again does not help: over HTTP it
// is a status of its own, for 429 makes clients come back.
type tooLarge string

func (t tooLarge) Error() string { return string(t) }

// httpFault is toStatus for HTTP.
func httpFault(ctx context.Context, log *slog.Logger, route string, err error) (int, Fault) {
	var fe *feature.Error
	switch cause := context.Cause(ctx); {
	case errors.As(cause, &fe): // a stop has ended it
		err = cause
	case errors.Is(cause, context.DeadlineExceeded):
		return http.StatusGatewayTimeout, Fault{Code: "deadline_exceeded", Message: "the call did not end within its time"}
	case cause != nil:
		return clientGone, Fault{Code: "canceled", Message: "the call was given up"}
	}
	if !errors.As(err, &fe) || fe.Kind == feature.Internal {
		if !errors.Is(err, errPanicked) { // that one is logged with its stack
			log.Error("call failed", "method", route, "err", err)
		}
		return http.StatusInternalServerError, Fault{Code: "internal", Message: "an internal fault; the server's log has the details"}
	}
	told := *fe
	told.Hint = ""
	f := Fault{Code: httpCodes[fe.Kind].name, Message: told.Error(), Hint: fe.Hint}
	var large tooLarge
	if errors.As(err, &large) {
		f.Code = "too_large"
		return http.StatusRequestEntityTooLarge, f
	}
	return httpCodes[fe.Kind].status, f
}
