package api

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/weir-ml/weir/internal/kafkalog"
	"github.com/weir-ml/weir/offline"
	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry/feature"
)

// TopicLog is what the log of a topic still has.
type TopicLog struct {
	ID        [16]byte
	Bounds    map[int32]kafkalog.Bounds
	Compacted bool // it may lose events from its middle
}

const opRollback = "table.rollback"

// Rollback makes an older version the newest again, or says what that would do.
func (s *Tables) Rollback(ctx context.Context, req *weirv1.RollbackTableRequest) (*weirv1.RollbackTableResponse, error) {
	cat, t, err := s.open(ctx, req.Project, req.View)
	if err != nil {
		return nil, err
	}
	defer t.Close()
	if req.Version == "" {
		return nil, feature.Errorf(feature.Invalid, opRollback, "view "+t.View().ID(), "say which version to go back to").WithHint("weir table log lists the versions that there are")
	}
	to, err := loadVersion(ctx, t, req.Version)
	if err != nil {
		return nil, err
	}
	from, err := t.Load(ctx, offline.Version{})
	if err != nil {
		return nil, err
	}
	if req.FromSnapshot != 0 && req.FromSnapshot != from.Snapshot {
		return nil, feature.Errorf(feature.Conflict, opRollback, "view "+t.View().ID(), "the table stands at snapshot %d now, no longer at %d", from.Snapshot, req.FromSnapshot).
			WithHint("look again at what would happen: --dry-run")
	}
	resp := &weirv1.RollbackTableResponse{FromSnapshot: from.Snapshot, ToSnapshot: to.Snapshot, FromRows: from.Rows, ToRows: to.Rows,
		Revision: cat.Revision(), Online: t.View().IsOnline()}
	if resp.Parts, err = s.rollbackParts(ctx, t, from, to); err != nil {
		return nil, err
	}
	if req.DryRun {
		return resp, nil
	}
	if why := lost(resp.Parts); why != "" && !req.Force {
		return nil, feature.Errorf(feature.Invalid, opRollback, "view "+t.View().ID(), "not all that leaves the table can be read again: %s", why).
			WithHint("what leaves can still be read in the version that is the newest now, until it expires: tag it (weir table tag), and roll back with --force")
	}
	r := &offline.Rollback{ID: "rollback-" + uuid.NewString(), To: to.Snapshot, Revision: cat.Revision()}
	if err := t.Rollback(ctx, r); err != nil {
		return nil, err
	}
	resp.Done = true
	return resp, nil
}

// rollbackParts tells of each partition that moves whether the log still has what leaves.
func (s *Tables) rollbackParts(ctx context.Context, t offline.Table, from, to *offline.State) ([]*weirv1.RollbackPart, error) {
	kept, err := t.PositionsAt(ctx, to.Snapshot)
	if err != nil {
		return nil, err
	}
	logs := map[string]*TopicLog{}
	var out []*weirv1.RollbackPart
	for _, m := range offline.MovedBetween(from.Positions, kept) {
		p := &weirv1.RollbackPart{Topic: m.Topic, TopicId: m.TopicID[:], Partition: m.Partition, From: max(0, m.Was), To: max(0, m.Is)}
		out = append(out, p)
		switch {
		case p.To >= p.From: // forward, to a state that a rollback took off
			p.Again = true
			continue
		case p.Partition == feature.ImportPartition:
			p.Why = "rows of an imported file: import it again"
			continue
		case p.Partition < 0:
			p.Why = "rows replayed from quarantine: replay them again"
			continue
		}
		if _, ok := logs[p.Topic]; !ok {
			l, err := s.Topic(ctx, p.Topic)
			if err != nil && feature.KindOf(err) != feature.NotFound {
				return nil, err
			}
			logs[p.Topic] = l // nil: no such topic
		}
		p.Why = gap(logs[p.Topic], p)
		p.Again = p.Why == ""
	}
	return out, nil
}

// gap is why the log does not have all of what leaves on a partition.
func gap(l *TopicLog, p *weirv1.RollbackPart) string {
	switch {
	case l == nil:
		return "the topic does not exist any more"
	case l.ID != [16]byte(p.TopicId):
		return "the topic was recreated"
	case l.Compacted:
		return "the topic is compacted, so events may be gone"
	}
	b, ok := l.Bounds[p.Partition]
	switch {
	case !ok:
		return "the topic does not have the partition"
	case b.Start > p.To:
		return fmt.Sprintf("the log begins at %d", b.Start)
	case b.End < p.From:
		return fmt.Sprintf("the log ends at %d", b.End)
	}
	return ""
}

// lost sums up what cannot be read again; "" when all can.
func lost(parts []*weirv1.RollbackPart) string {
	var out []string
	others := 0
	for _, p := range parts {
		switch {
		case p.Again:
		case len(out) == 3:
			others++
		case p.Partition == feature.ImportPartition:
			out = append(out, fmt.Sprintf("%d rows of import %s", p.From-p.To, p.Topic))
		case p.Partition < 0:
			out = append(out, "rows replayed from quarantine")
		default:
			out = append(out, fmt.Sprintf("%s/%d from %d to %d (%s)", p.Topic, p.Partition, p.To, p.From, p.Why))
		}
	}
	if others > 0 {
		out = append(out, fmt.Sprintf("and %d more", others))
	}
	return strings.Join(out, ", ")
}
