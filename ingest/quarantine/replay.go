package quarantine

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/registry/feature"
)

// Replay is one request to replay entries of a view. It is written into the
// view's quarantine topic before the first row, under the key
// <view>/replay/<known>, and never again: its known time is that of every row that
// it brings, and tells the replayed rows of a table from all others.
type Replay struct {
	Project  string `json:"project"`
	View     string `json:"view"`
	Known    int64  `json:"known"`    // microseconds UTC; unique among the view's replays
	Revision int64  `json:"revision"` // of the catalog that judged
	By       string `json:"by,omitempty"`
	Filter   string `json:"filter,omitempty"` // what was asked for, for people
}

func replayKey(view string) string { return view + "/replay/" }

// Record hands a replay to the producer; Flush tells whether it is safe.
func (s *Session) Record(ctx context.Context, x *Replay) error {
	b, err := json.Marshal(x)
	if err != nil {
		return feature.Errorf(feature.Internal, "quarantine.record", x.View, "%w", err)
	}
	r := &kgo.Record{Topic: Topic(x.Project, x.View), Key: fmt.Appendf(nil, "%s%d", replayKey(x.View), x.Known), Value: b}
	return s.send(ctx, r, int64(len(b)), leastShare)
}

func parseReplay(r *kgo.Record, view string) (*Replay, bool) {
	known, ok := strings.CutPrefix(string(r.Key), replayKey(view))
	if !ok || r.Value == nil {
		return nil, false
	}
	x := &Replay{}
	if err := json.Unmarshal(r.Value, x); err != nil || strconv.FormatInt(x.Known, 10) != known || x.View != view {
		return nil, false // not ours; someone else wrote to the topic
	}
	return x, true
}

// All calls fn with the entries as Each does, and before them replay with the
// view's replays, in no order.
func (r *Reader) All(ctx context.Context, project, view string, progress func(done, total int64), replay func(*Replay), fn func(*Entry) error) error {
	return r.walk(ctx, project, view, progress, walk{replay: replay, entry: fn})
}
