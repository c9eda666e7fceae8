package offline

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/weir-ml/weir/registry/feature"
)

// A snapshot's tags come before its record and go after it, so that whatever is
// killed when, a recorded snapshot has its tags, and what is left behind is a tag
// without a snapshot. Upkeep takes those off once they are orphanTagAge old: a
// creation that is under way has tags and no record, too.

const (
	tagPrefix = "weir-snapshot-"
	// orphanTagAge is far longer than any creation takes. One that takes longer than
	// longCreation sets its tags again.
	orphanTagAge = 24 * time.Hour
	longCreation = orphanTagAge / 4
)

// SnapshotTag is the tag that keeps a snapshot's table versions.
func SnapshotTag(id string) string { return tagPrefix + id }

// SnapshotOfTag is the snapshot whose table version a tag keeps; false of tags that people set.
func SnapshotOfTag(tag string) (id string, ok bool) { return strings.CutPrefix(tag, tagPrefix) }

// SnapshotLookup tells what snapshots there are; the registry is one.
type SnapshotLookup interface {
	// Snapshot returns a snapshot of any project for project ""; feature.NotFound when there is none.
	Snapshot(ctx context.Context, project, id string) (feature.Snapshot, error)
}

// SweepTags takes tags off a table whose snapshots do not exist: of creations that were
// killed, and of deletions that could not finish. It returns those it took off.
func SweepTags(ctx context.Context, t Table, known SnapshotLookup, now time.Time, log *slog.Logger) (gone []string, err error) {
	all, err := t.History(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		for _, tag := range s.Tags {
			id, ok := strings.CutPrefix(tag, tagPrefix)
			made, valid := snapshotTime(id)
			if !ok || !valid || now.Sub(made) < orphanTagAge {
				continue
			}
			exists := func() (bool, error) {
				_, err := known.Snapshot(ctx, "", id)
				if feature.KindOf(err) == feature.NotFound {
					return false, nil
				}
				return err == nil, err
			}
			if is, err := exists(); err != nil || is {
				if err != nil {
					return gone, err
				}
				continue
			}
			if err := t.Untag(ctx, tag); err != nil {
				return gone, err
			}
			// A creation may have ended this moment. It sets its tags again after its
			// record, so one of the two of us does.
			if is, err := exists(); err != nil || is {
				if terr := t.Tag(ctx, tag, s.ID); terr != nil || err != nil {
					return gone, errors.Join(terr, err)
				}
				continue
			}
			gone = append(gone, tag)
			log.Info("a tag without a snapshot was taken off", "view", t.View().ID(), "tag", tag, "version", s.ID)
		}
	}
	return gone, nil
}

// LetGo takes the tags of a deleted snapshot off. tables are those of the snapshot
// that still are, by view. It returns what is left, with the reason; upkeep will do it.
func LetGo(ctx context.Context, snap feature.Snapshot, tables map[string]Table, log *slog.Logger) (left []string) {
	for _, st := range snap.Tables {
		t := tables[st.View]
		if st.Tag == "" || t == nil {
			continue
		}
		if err := t.Untag(ctx, st.Tag); err != nil {
			log.Warn("a tag of a deleted snapshot is left for upkeep", "tag", st.Tag, "view", st.View, "error", err)
			left = append(left, st.View+": "+err.Error())
		}
	}
	return left
}

// snapshotTime is when an id was made (NewSnapshotID).
func snapshotTime(id string) (time.Time, bool) {
	if len(id) != 16 {
		return time.Time{}, false
	}
	var ms int64 // the first 48 of 80 bits: nine digits and three bits of the tenth
	for i := range 10 {
		d := strings.IndexByte(idDigits, id[i])
		if d < 0 {
			return time.Time{}, false
		}
		if i < 9 {
			ms = ms<<5 | int64(d)
		} else {
			ms = ms<<3 | int64(d>>2)
		}
	}
	return time.UnixMilli(ms), true
}
