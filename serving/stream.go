package serving

import (
	"context"
	"fmt"
	"iter"

	"google.golang.org/grpc"

	"github.com/weir-ml/weir/registry/feature"
)

// partBytes is what a part's texts and arrays should take, and mostPartBytes what they may: clients of
// gRPC take 4 MiB in one message unless they are told otherwise. A row is never cut, however large. How
// large rows are shows only when they are read, so the first part is a small one.
const (
	partBytes     = 2 << 20
	mostPartBytes = 3 << 20
	firstPart     = 256
)

// parts answers a question of any length up to MaxStreamRows, a part of at most MaxRows and
// MaxValues (and of mostPartBytes) after the other, all by one plan: a catalog that changes meanwhile is for the
// next call. No part is read before the one in front of it is taken; what is yielded is the
// consumer's to release. No rows at all are one part without rows.
func (l *Lookups) parts(ctx context.Context, q *Question) iter.Seq2[*Answer, error] {
	return func(yield func(*Answer, error) bool) {
		plan, err := l.find(ctx, q)
		if err != nil {
			yield(nil, l.refused(err))
			return
		}
		keys, rows, err := q.Entities(plan.Keys())
		if err == nil && rows > l.cfg.MaxStreamRows {
			err = feature.Errorf(feature.Exhausted, "lookup", "", "%w", tooLarge(fmt.Sprintf("%d rows in one stream; at most %d are answered", rows, l.cfg.MaxStreamRows))).
				WithHint("split the call, or raise serving.max_stream_rows")
		}
		if err != nil {
			yield(nil, l.refused(err))
			return
		}
		// At least a row: a service with more features than MaxValues is refused by Ask, as in one call.
		most := max(min(l.cfg.MaxRows, l.cfg.MaxValues/max(len(plan.service.Columns), 1)), 1)
		size, texts := most, hasTexts(plan.service)
		if texts {
			size = min(most, firstPart)
		}
		part := *q
		part.found = &plan
		cut := make([]feature.Vector, len(keys))
		for from := 0; ; {
			to := min(from+size, rows)
			for i := range keys {
				cut[i] = slice(&keys[i], from, to)
			}
			part.FirstRow = from
			part.Entities = func([]feature.Field) ([]feature.Vector, int, error) { return cut, to - from, nil }
			a, err := l.Ask(ctx, &part)
			if err == errSmaller {
				size = max((to-from)/4, 1)
				continue
			}
			if err == nil && texts {
				row := textBytes(a.Block)/max(to-from, 1) + 1
				size = max(min(most, partBytes/row, 4*size), 1) // slowly up: those that come may be larger
			}
			if !yield(a, err) || err != nil || to == rows {
				return
			}
			from = to
		}
	}
}

// hasTexts reports whether a service has values of any length.
func hasTexts(s *feature.Service) bool {
	for _, c := range s.Columns {
		if s.Views[c.View].Features[c.Feature].Type.Variable() {
			return true
		}
	}
	return false
}

// refused counts a question that never came to Ask.
func (l *Lookups) refused(err error) error {
	l.met.seen.inFlight.Inc()
	l.met.seen.refuse(err)
	return err
}

// slice is the part of a vector from one row to another; they share memory.
func slice(v *feature.Vector, from, to int) feature.Vector {
	out := feature.Vector{Type: v.Type, Valid: v.Valid[from:to]}
	switch v.Type {
	case feature.Bool:
		out.Bools = v.Bools[from:to]
	case feature.Int32:
		out.Int32s = v.Int32s[from:to]
	case feature.Int64, feature.Timestamp:
		out.Int64s = v.Int64s[from:to]
	default: // no key is a float
		out.Bytes = v.Bytes[from:to]
	}
	return out
}

func lookupStreamHandler(srv any, stream grpc.ServerStream) error {
	f := srv.(*Features)
	req := f.requests.get()
	if err := stream.RecvMsg(req); err != nil {
		return err // req is not freed: who has given up waiting may still be reading into it
	}
	defer req.free()
	first := uint64(0)
	for a, err := range f.lookups.parts(stream.Context(), &req.Question) {
		if err != nil {
			return err
		}
		// The request outlives its parts: nil, so that none of them frees it.
		part := f.replies.of(a, nil, req.statuses, req.times, first)
		first += uint64(a.Rows)
		if err := stream.SendMsg(part); err != nil { // waits while the client takes nothing
			return err
		}
	}
	return nil
}
