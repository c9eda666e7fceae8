package ingest

import (
	"fmt"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate"
)

// checker is a compiled suite.
type checker interface {
	Check(b *feature.Batch, v *validate.Verdict) error
}

// check runs a suite over a batch, hands each rejected row to hold and returns
// the rows to keep: the batch itself when none is rejected, else one that the
// caller releases as well, with the rows held back where withHeld asks for them. A row that makes the suite panic must not block its
// partition: it goes to quarantine, and the rest is judged without it.
func check(suite checker, b *feature.Batch, verdict *validate.Verdict, p *Pipeline, withHeld bool, hold func(int64, []feature.Reason) error) (*feature.Batch, error) {
	if suite == nil {
		return b, nil
	}
	fault, err := tryCheck(suite, b, verdict)
	if err != nil {
		return nil, err
	}
	release := func() {}
	if fault != "" {
		if b, err = withoutPoison(suite, b, fault, p, hold); err != nil {
			return nil, err
		}
		release = b.Rows.Release
		if again, err := tryCheck(suite, b, verdict); err != nil || again != "" {
			release()
			return nil, feature.Errorf(feature.Internal, "ingest.check", "view "+b.View.ID(), "panic: %s; and again without its cause: %s", fault, again)
		}
	}
	rules := verdict.Rules()
	for i, c := range verdict.Counts() {
		if c.Failed > 0 {
			p.Metrics.failed.WithLabelValues(b.View.Meta.Project, b.View.Meta.Name, rules[i].Type, rules[i].Path, string(rules[i].Severity)).Add(float64(c.Failed))
		}
	}
	for _, r := range verdict.Rejected() {
		if err := hold(b.Offsets[r.Index], r.Reasons); err != nil {
			release()
			return nil, err
		}
	}
	good := validate.Filter(b, verdict)
	if good == b {
		return b, nil
	}
	if withHeld {
		good.Held = validate.Held(b, verdict)
	}
	release()
	return good, nil
}

func tryCheck(suite checker, b *feature.Batch, verdict *validate.Verdict) (fault string, err error) {
	defer func() {
		if r := recover(); r != nil {
			fault = fmt.Sprint(r)
		}
	}()
	return "", suite.Check(b, verdict)
}

// withoutPoison gives the batch without the rows that make the suite panic,
// which it holds back. The caller releases its Rows.
func withoutPoison(suite checker, b *feature.Batch, fault string, p *Pipeline, hold func(int64, []feature.Reason) error) (*feature.Batch, error) {
	var scratch, poison validate.Verdict
	poison.Reset(b.Len(), []validate.Rule{{Type: feature.RuleInternal, Severity: feature.Critical, Rejects: true}})
	var search func(from, to int)
	search = func(from, to int) {
		part := slice(b, from, to)
		defer part.Rows.Release()
		switch again, _ := tryCheck(suite, part, &scratch); {
		case again == "":
		case to-from == 1:
			poison.Failures(0).Set(from)
		default:
			search(from, (from+to)/2)
			search((from+to)/2, to)
		}
	}
	search(0, b.Len())
	poison.Close(func(int, int) feature.Reason {
		return feature.Reason{Rule: feature.RuleInternal, Expected: "an event that Weir can judge; an internal fault stopped it: " + fault}
	})
	if bad := poison.Rejected(); len(bad) > 0 {
		p.Log.Error("judging events failed inside Weir; they go to quarantine", "view", b.View.ID(), "partition", b.Origin.Partition,
			"events", len(bad), "first", b.Offsets[bad[0].Index], "fault", fault)
	}
	for _, r := range poison.Rejected() {
		if err := hold(b.Offsets[r.Index], r.Reasons); err != nil {
			return nil, err
		}
	}
	rest := validate.Filter(b, &poison)
	if rest == b {
		b.Rows.Retain()
	}
	return rest, nil
}

// slice is rows from to to of a batch; the caller releases its Rows.
func slice(b *feature.Batch, from, to int) *feature.Batch {
	out := *b
	out.Rows = b.Rows.NewSlice(int64(from), int64(to))
	out.Offsets, out.EventTime, out.KnownTime = b.Offsets[from:to], b.EventTime[from:to], b.KnownTime[from:to]
	if b.Tombstone != nil {
		out.Tombstone = b.Tombstone[from:to]
	}
	return &out
}
