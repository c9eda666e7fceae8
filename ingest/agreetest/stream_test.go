package agreetest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/weir-ml/weir/ingest/decode"
	"github.com/weir-ml/weir/offline/jointest"
	"github.com/weir-ml/weir/offline/offlinetest"
	"github.com/weir-ml/weir/registry/feature"
)

// arrival is one event of a view, decoded: a batch of one row.
type arrival struct {
	view  int
	old   bool
	batch *feature.Batch
}

// stream sends the facts of a world as events through the decoder. What that holds back
// (an event too far ahead of its known time) is taken out of the world, as it is from
// both stores. Arrivals are in the order of the facts, offsets of a partition grow.
func stream(w *jointest.World) ([]arrival, error) {
	var out []arrival
	for vi := range w.Views {
		v := &w.Views[vi]
		source := &feature.Source{Meta: feature.Meta{Project: "default", Name: "s"}, Topic: "events", EventTime: feature.TimeField{Field: "event_at", Format: "unix_us"}}
		if w.Way.Workers%2 == 1 {
			source.Created = &feature.TimeField{Field: "created_at", Format: "rfc3339"}
		}
		next := map[int32]int64{}
		var kept []jointest.Fact
		for _, f := range v.Facts {
			d := v.Definition()
			if f.Old {
				d = v.Before()
			}
			dec, err := decode.New(source, []*feature.View{d}, decode.Options{})
			if err != nil {
				return nil, err
			}
			for i, x := range f.Values { // what JSON cannot say
				if y, ok := x.(float64); ok && (math.IsNaN(y) || math.IsInf(y, 0)) {
					f.Values[i] = nil
				}
				if y, ok := x.(float32); ok && (y != y || math.IsInf(float64(y), 0)) {
					f.Values[i] = nil
				}
			}
			rec, err := event(v, d, &f)
			if err != nil {
				return nil, err
			}
			dec.Decode(rec)
			cut := dec.Cut(feature.Origin{Topic: "events", TopicID: offlinetest.TopicID, Partition: f.Partition, First: next[f.Partition], Next: f.Offset + 1})[0]
			if len(cut.Rejected) > 0 {
				if f.Event <= f.Known+source.Future() {
					return nil, fmt.Errorf("%s is held back: %v", rec.Value, cut.Rejected)
				}
				continue
			}
			next[f.Partition] = f.Offset + 1
			kept = append(kept, f)
			out = append(out, arrival{vi, f.Old, cut.Batch})
		}
		v.Facts = kept
	}
	return out, nil
}

// event is a fact as a producer sends it.
func event(v *jointest.View, d *feature.View, f *jointest.Fact) (decode.Record, error) {
	rec := decode.Record{Offset: f.Offset, Timestamp: f.Known}
	keys := map[string]any{}
	for i, k := range v.Keys {
		keys[k.Name] = plain(k.Type, f.Keys[i])
	}
	var err error
	if f.Dead {
		if len(v.Keys) == 1 {
			rec.Key = []byte(fmt.Sprint(keys[v.Keys[0].Name]))
		} else {
			rec.Key, err = json.Marshal(keys)
		}
		return rec, err
	}
	for _, x := range d.Features {
		at := slices.IndexFunc(v.Features, func(f jointest.Feature) bool {
			return x.Stored() == f.WasName || f.WasName == "" && x.Stored() == f.Name
		})
		if f.Values[at] != nil || f.Offset%2 == 0 { // null or absent
			keys[x.EventPath()] = plain(x.Type, f.Values[at])
		}
	}
	keys["event_at"] = json.RawMessage(strconv.FormatInt(f.Event, 10))
	keys["created_at"] = stamp(f.Known)
	rec.Value, err = json.Marshal(keys)
	return rec, err
}

func stamp(micros int64) string {
	return feature.Time(micros).Format("2006-01-02T15:04:05.000000Z07:00")
}

// plain is a value as JSON has it.
func plain(t feature.Type, x any) any {
	switch x := x.(type) {
	case []any:
		list := make([]any, len(x))
		for i := range x {
			list[i] = plain(t.Elem(), x[i])
		}
		return list
	case []byte:
		return base64.StdEncoding.EncodeToString(x)
	case int64:
		if t == feature.Timestamp {
			return stamp(x)
		}
	case float64:
		if t == feature.Float32 {
			return float32(x)
		}
	}
	return x
}

// moments are the times at which an answer may change, and those beside them.
func moments(w *jointest.World, keep time.Duration) []int64 {
	var out []int64
	for _, v := range w.Views {
		for _, f := range v.Facts {
			at := []int64{f.Known, f.Event}
			if v.TTL > 0 {
				end := min(f.Event, f.Known) + v.TTL
				at = append(at, end, end+keep.Microseconds())
			}
			for _, t := range at {
				out = append(out, t-1, t, t+1)
			}
		}
	}
	slices.Sort(out)
	return slices.DeleteFunc(slices.Compact(out), func(t int64) bool { return t < feature.MinTime || t > feature.MaxTime })
}
