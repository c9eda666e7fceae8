package offline

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/weir-ml/weir/registry/feature"
)

// Snapshots makes training sets that can be made again: each remembers the table
// versions it was read from, keeps them from expiry by a tag, and carries hashes of
// what went in and what came out.
type Snapshots struct {
	store SnapshotStore
	log   *slog.Logger
	now   func() time.Time
	joins *Joins
}

// SnapshotStore remembers snapshots; the registry is one.
type SnapshotStore interface {
	// PutSnapshot records a snapshot with its profile (nil when there is none).
	// A snapshot is never changed: an id that exists is a Conflict.
	PutSnapshot(ctx context.Context, s feature.Snapshot, profile []byte) error
}

// Profiler looks at a snapshot's rows as they are made; its result becomes the
// reference that drift monitors compare with.
type Profiler interface {
	Write(rec arrow.RecordBatch) error // may not keep rec without retaining it
	Finish() ([]byte, error)
}

// NewSnapshots returns a maker of snapshots. now gives their times of creation; time.Now when nil.
func NewSnapshots(store SnapshotStore, log *slog.Logger, now func() time.Time) *Snapshots {
	if now == nil {
		now = time.Now
	}
	return &Snapshots{store: store, log: log.With("room", "offline"), now: now}
}

// CreateRequest asks for a snapshot.
type CreateRequest struct {
	Service *feature.Service // resolved
	Tables  []TableAt        // one for each of Service.Views; the zero Version pins the newest
	Spine   Spine
	Clock   feature.Clock // feature.KnownClock when empty
	// Split puts each row into a part, whose name comes out in feature.SplitColumn; nil for none.
	Split *feature.SnapshotSplit
	// Begin hears the snapshot's id before the first batch; may be nil.
	Begin func(id string) error
	// Profiler may be nil. It sees the same batches as the sink.
	Profiler Profiler
	// Commit makes the output visible (a rename, say). It is called when the last
	// row is out and before the snapshot is recorded, so that a recorded snapshot has
	// its file. May be nil.
	Commit   func() error
	Progress func(done, total int64) // as in JoinRequest
	Stage    func(stage string)      // as in JoinRequest
	Memory   int64
	Workers  int
}

// Created is a snapshot and what making it took.
type Created struct {
	feature.Snapshot
	Profile []byte
	Join    JoinResult
}

const opSnapshot = "offline.snapshot"

// Create makes a snapshot: pins and tags the tables' versions, joins, and records
// it. sink gets the rows as from Join. After an error nothing is recorded, and the
// tags are taken back where the table can.
func (s *Snapshots) Create(ctx context.Context, req CreateRequest, sink func(arrow.RecordBatch) error) (c Created, err error) {
	now := s.now()
	id, err := NewSnapshotID(now)
	if err != nil {
		return Created{}, err
	}
	c.Snapshot = feature.Snapshot{
		ID: id, Project: req.Service.Meta.Project, Service: req.Service.Meta.Name, ServiceVersion: req.Service.Version,
		Clock: req.Clock, CreatedAt: now.UnixMicro(),
	}
	if c.Clock == "" {
		c.Clock = feature.KnownClock
	}
	var split *splitter
	if req.Split != nil {
		if split, err = newSplitter(req.Split, req.Service, req.Spine); err != nil {
			return Created{}, err
		}
	}
	var tagged []feature.SnapshotTable
	recorded := false
	defer func() {
		if err != nil && !recorded {
			s.untag(req, tagged) // c is not what it was any more
		}
	}()
	var pinned []TableAt
	pinned, tagged, err = s.pin(ctx, req, id)
	c.Tables = tagged
	if err != nil {
		return Created{}, err
	}
	if req.Begin != nil {
		if err := req.Begin(id); err != nil {
			return Created{}, err
		}
	}
	h := newRowHash(req.Spine.Rows.Schema().NumFields())
	takers := []func(arrow.RecordBatch) error{sink, h.write}
	if req.Profiler != nil {
		takers = append(takers, req.Profiler.Write)
	}
	stages := inStages(ctx, takers...)
	take := stages.write
	if split != nil {
		take = split.sink(take)
	}
	c.Join, err = Join(ctx, JoinRequest{
		Service: req.Service, Tables: pinned, Spine: req.Spine, Clock: c.Clock,
		Progress: req.Progress, Stage: req.Stage, Joins: s.joins, Memory: req.Memory, Workers: req.Workers,
	}, take)
	if err = stages.finish(err); err != nil {
		return Created{}, err
	}
	if split != nil {
		c.Split = split.done()
	}
	c.Rows = c.Join.Rows
	c.SpineHash, c.ContentHash = h.sums()
	for i, col := range req.Service.Columns {
		v := req.Service.Views[col.View]
		c.Columns = append(c.Columns, feature.SnapshotColumn{
			Name: col.Name, View: v.Meta.Name, Type: v.Features[col.Feature].Type, Nulls: c.Join.Nulls[i],
			Column: v.Features[col.Feature].Column,
		})
	}
	if req.Profiler != nil {
		if c.Profile, err = req.Profiler.Finish(); err != nil {
			return Created{}, err
		}
	}
	if req.Commit != nil {
		if err := req.Commit(); err != nil {
			return Created{}, err
		}
	}
	if err := s.store.PutSnapshot(ctx, c.Snapshot, c.Profile); err != nil {
		return Created{}, err
	}
	recorded = true
	if s.now().Sub(now) > longCreation {
		// Who tidies up may have taken the tags for those of a snapshot that did not come to be.
		for i, t := range c.Tables {
			if t.Tag == "" {
				continue
			}
			if err := req.Tables[i].Table.Tag(ctx, t.Tag, t.Version); err != nil {
				return c, err
			}
		}
	}
	s.log.Info("snapshot created", "snapshot", id, "service", c.Service, "rows", c.Rows,
		"files_read", c.Join.FilesRead, "files_skipped", c.Join.FilesSkipped)
	return c, nil
}

// pin settles which version of each table is read, and tags it. An empty table
// has no version to tag: it is written down as 0. With an error come the tables whose
// tags may have been set.
func (s *Snapshots) pin(ctx context.Context, req CreateRequest, id string) (pinned []TableAt, tagged []feature.SnapshotTable, err error) {
	pinned = slices.Clone(req.Tables)
	if len(pinned) != len(req.Service.Views) {
		return nil, nil, feature.Errorf(feature.Internal, opSnapshot, "service "+req.Service.Meta.Name, "%d tables for %d views", len(pinned), len(req.Service.Views))
	}
	for i, t := range pinned {
		state, err := t.Table.Load(ctx, t.Version)
		if err != nil {
			return nil, tagged, err
		}
		v := req.Service.Views[i]
		st := feature.SnapshotTable{View: v.Meta.Name, ViewVersion: v.Version, Version: state.Snapshot}
		if state.Snapshot == 0 {
			tagged = append(tagged, st)
			pinned[i].Table = emptyAt{t.Table} // rows that land from now on do not count
			continue
		}
		st.Tag = SnapshotTag(id)
		tagged = append(tagged, st)
		if err := t.Table.Tag(ctx, st.Tag, state.Snapshot); err != nil {
			return nil, tagged, err
		}
		pinned[i].Version = Version{Snapshot: state.Snapshot}
	}
	return pinned, tagged, nil
}

// emptyAt is a table as it was before its first commit.
type emptyAt struct{ Table }

func (emptyAt) Load(context.Context, Version) (*State, error) { return &State{}, nil }

// untag takes the tags of a snapshot that did not come to be back. The caller's
// context may be what ended it, so it is not used.
func (s *Snapshots) untag(req CreateRequest, tables []feature.SnapshotTable) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for i, t := range tables {
		if t.Tag == "" {
			continue
		}
		if err := req.Tables[i].Table.Untag(ctx, t.Tag); err != nil {
			s.log.Warn("a tag of a snapshot that failed is left behind; it keeps a table version from expiry",
				"tag", t.Tag, "view", t.View, "error", err)
		}
	}
}

const idDigits = "0123456789abcdefghjkmnpqrstvwxyz"

// NewSnapshotID makes an id of 16 lower-case letters and digits: 48 bits of time
// in milliseconds and 32 random bits in base 32, so that ids sort by time. The
// letters i, l, o and u do not occur.
func NewSnapshotID(at time.Time) (string, error) {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(at.UnixMilli())<<16)
	if _, err := rand.Read(b[6:10]); err != nil {
		return "", fmt.Errorf("offline: no random numbers: %w", err)
	}
	hi, lo := binary.BigEndian.Uint64(b[:8]), uint64(binary.BigEndian.Uint16(b[8:10]))
	id := make([]byte, 16)
	for i := range id { // 80 bits, five at a time from the top
		shift := 75 - 5*i
		var v uint64
		switch {
		case shift >= 16:
			v = hi >> (shift - 16)
		case shift+5 <= 16:
			v = lo >> shift
		default:
			v = hi<<(16-shift) | lo>>shift
		}
		id[i] = idDigits[v&31]
	}
	return string(id), nil
}
