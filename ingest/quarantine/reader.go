package quarantine

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/registry/feature"
)

// Query chooses entries of one view.
type Query struct {
	Project, View string
	Rule          string // only entries that failed this rule; "" for all
	ID            string // only this entry
	Limit         int    // newest this many; 0 for all
}

// quiet is how long a topic that should have more records may give none.
const quiet = 5 * time.Second

// Result is what a Query found.
type Result struct {
	Entries []*Entry // newest last
	Total   int64    // entries that match, whatever the limit
	ByRule  []RuleCount
}

// RuleCount is how many entries failed a rule; one event may fail several.
type RuleCount struct {
	Rule  string
	Path  string
	Count int64
}

// Reader reads quarantine topics from their beginning.
type Reader struct {
	opts []kgo.Opt // how to reach Kafka
}

// NewReader reads through clients made with opts.
func NewReader(opts ...kgo.Opt) *Reader { return &Reader{opts: opts} }

// Read returns the entries a view has now; entries written twice count once.
func (r *Reader) Read(ctx context.Context, q Query) (*Result, error) {
	topic := Topic(q.Project, q.View)
	cl, err := kgo.NewClient(append(slices.Clone(r.opts), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())...)
	if err != nil {
		return nil, feature.Errorf(feature.Invalid, "quarantine.read", topic, "%w", err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	ends, err := adm.ListCommittedOffsets(ctx, topic)
	if err != nil {
		return nil, feature.Errorf(feature.Unavailable, "quarantine.read", topic, "%w", err)
	}
	starts, err := adm.ListStartOffsets(ctx, topic)
	if err != nil {
		return nil, feature.Errorf(feature.Unavailable, "quarantine.read", topic, "%w", err)
	}
	left := map[int32]int64{}
	from := map[int32]kgo.Offset{}
	var missing error
	ends.Each(func(o kadm.ListedOffset) {
		if o.Err != nil {
			missing = o.Err
			return
		}
		s, _ := starts.Lookup(topic, o.Partition)
		if o.Offset > s.Offset {
			left[o.Partition] = o.Offset
			from[o.Partition] = kgo.NewOffset().At(s.Offset)
		}
	})
	if missing != nil && !errors.Is(missing, kerr.UnknownTopicOrPartition) {
		return nil, feature.Errorf(feature.Unavailable, "quarantine.read", topic, "%w", missing)
	}
	latest := map[string]*Entry{}
	var order []string
	if len(from) > 0 {
		cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: from})
	}
	for len(left) > 0 {
		poll, cancel := context.WithTimeout(ctx, quiet)
		fs := cl.PollFetches(poll)
		over := poll.Err() != nil
		cancel()
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if over && fs.NumRecords() == 0 {
			break // compaction removed the records before the end
		}
		if errs := fs.Errors(); len(errs) > 0 {
			return nil, feature.Errorf(feature.Unavailable, "quarantine.read", topic, "%w", errs[0].Err)
		}
		fs.EachRecord(func(rec *kgo.Record) {
			if rec.Offset+1 >= left[rec.Partition] {
				delete(left, rec.Partition)
			}
			if rec.Attrs.IsControl() {
				return
			}
			id := string(rec.Key)
			if rec.Value == nil { // discarded
				delete(latest, id)
				return
			}
			e, err := Parse(rec)
			if err != nil {
				return // not ours; someone else wrote to the topic
			}
			if _, ok := latest[id]; !ok {
				order = append(order, id)
			}
			latest[id] = e
		})
	}
	return pick(q, order, latest), nil
}

func pick(q Query, order []string, latest map[string]*Entry) *Result {
	res := &Result{}
	counts := map[[2]string]int64{}
	for _, id := range order {
		e, ok := latest[id]
		if !ok || q.ID != "" && id != q.ID {
			continue
		}
		delete(latest, id) // discarded and written again stands twice in order
		if q.Rule != "" && !slices.ContainsFunc(e.Reasons, func(r feature.Reason) bool { return r.Rule == q.Rule }) {
			continue
		}
		res.Total++
		res.Entries = append(res.Entries, e)
		for _, r := range e.Reasons {
			counts[[2]string{r.Rule, r.Path}]++
		}
	}
	if q.Limit > 0 && len(res.Entries) > q.Limit {
		res.Entries = res.Entries[len(res.Entries)-q.Limit:]
	}
	for k, n := range counts {
		res.ByRule = append(res.ByRule, RuleCount{Rule: k[0], Path: k[1], Count: n})
	}
	slices.SortFunc(res.ByRule, func(a, b RuleCount) int {
		if a.Count != b.Count {
			return int(b.Count - a.Count)
		}
		return strings.Compare(a.Rule+a.Path, b.Rule+b.Path)
	})
	return res
}
