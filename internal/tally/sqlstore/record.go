package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/weir-ml/weir/internal/tally"
	"github.com/weir-ml/weir/registry/feature"
)

func (s *Store[T, V]) States(ctx context.Context, project, owner string) (out []tally.State, err error) {
	where, args := filter("project", project, "@owner", owner)
	err = s.db.ReadTx(ctx, func(tx *sql.Tx) error {
		out = nil
		return s.query(ctx, tx, func(scan func(...any) error) error {
			var st tally.State
			var revision int64
			var body string
			if err := scan(&revision, &body); err != nil {
				return err
			}
			if err := json.Unmarshal([]byte(body), &st); err != nil {
				return err
			}
			st.Revision = revision
			out = append(out, st)
			return nil
		}, `SELECT revision, body FROM @states`+and(where)+` ORDER BY project, @owner, size`, args...)
	})
	return out, err
}

func (s *Store[T, V]) Record(ctx context.Context, j *tally.Judgement[V]) (bool, error) {
	var none V
	verdict := []byte{}
	if j.Verdict != none {
		var err error
		if verdict, err = json.Marshal(j.Verdict); err != nil {
			return false, feature.Errorf(feature.Internal, "tally.record", j.Series.String(), "%w", err)
		}
	}
	from := tally.Closed
	if j.State == tally.Open {
		from = tally.Open
	}
	return s.change(ctx, &j.Change, func(tx *sql.Tx, now int64) error {
		n, err := s.exec(ctx, tx, `UPDATE @windows SET state = ?, verdict = ?, judged_at = ?, seen = ?,
			amended = amended + CASE WHEN seen > 0 AND seen < ? THEN 1 ELSE 0 END
			WHERE project = ? AND @owner = ? AND size = ? AND start_at = ? AND state = ? AND seen = ?`,
			string(j.State), string(verdict), now, j.Deltas, j.Deltas, j.Project, j.Owner, j.Size, j.Start, string(from), j.Seen)
		if err == nil && n == 0 {
			return errMoved // and the state with it
		}
		return err
	})
}

func (s *Store[T, V]) Tell(ctx context.Context, c *tally.Change) (bool, error) {
	return s.change(ctx, c, func(*sql.Tx, int64) error { return nil })
}

// change moves the state, does what belongs to it, and tells; false, and nothing has happened, when something has moved on.
func (s *Store[T, V]) change(ctx context.Context, c *tally.Change, also func(tx *sql.Tx, now int64) error) (bool, error) {
	now := c.At.UnixMicro()
	err := s.db.Tx(ctx, func(tx *sql.Tx) error {
		if c.Next != nil {
			moved, err := s.advance(ctx, tx, *c.Next, now)
			if err != nil {
				return err
			}
			if !moved {
				return errMoved
			}
		}
		if err := also(tx, now); err != nil {
			return err
		}
		return s.tell(ctx, tx, c, now)
	})
	if errors.Is(err, errMoved) {
		return false, nil
	}
	return err == nil, err
}

// errMoved rolls a judgement back that came too late. It has a kind so that it passes the transaction unchanged.
var errMoved = feature.Errorf(feature.Conflict, "tally.record", "judgement", "the window or the state has moved on")

// advance replaces the state that next was made from; false when it has moved on.
func (s *Store[T, V]) advance(ctx context.Context, tx *sql.Tx, next tally.State, now int64) (bool, error) {
	was := next.Revision
	next.Revision, next.Updated = was+1, now
	body, err := json.Marshal(next)
	if err != nil {
		return false, err
	}
	var n int64
	if was == 0 {
		n, err = s.exec(ctx, tx, `INSERT INTO @states (project, @owner, size, revision, body) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (project, @owner, size) DO NOTHING`, next.Project, next.Owner, next.Size, next.Revision, string(body))
	} else {
		n, err = s.exec(ctx, tx, `UPDATE @states SET revision = ?, body = ? WHERE project = ? AND @owner = ? AND size = ? AND revision = ?`,
			next.Revision, string(body), next.Project, next.Owner, next.Size, was)
	}
	return n == 1, err
}

// tell stores the event and its outbox entries; what is there already stays.
func (s *Store[T, V]) tell(ctx context.Context, tx *sql.Tx, c *tally.Change, now int64) error {
	if e := c.Event; e != nil {
		seq, there, err := s.next(ctx, tx, "drift_events", e.ID)
		if err != nil {
			return err
		}
		if !there {
			if _, err := s.exec(ctx, tx, `INSERT INTO drift_events (id, seq, project, monitor, view_name, kind, at, window_start, window_end, retrain, payload)
				VALUES (`+marks(11)+`)`,
				e.ID, seq, e.Project, e.Owner, e.View, e.Type, e.Time, e.WindowStart, e.WindowEnd, bit(e.Retrain), e.Payload); err != nil {
				return err
			}
		}
	}
	for i := range c.Outbox {
		e := &c.Outbox[i]
		seq, there, err := s.next(ctx, tx, "drift_outbox", e.ID)
		if err != nil {
			return err
		}
		if there {
			continue
		}
		headers, err := json.Marshal(e.Headers)
		if err != nil {
			return err
		}
		if _, err := s.exec(ctx, tx, `INSERT INTO drift_outbox (`+outboxColumns+`, event_id) VALUES (`+marks(14)+`)`,
			e.ID, seq, e.Destination, e.Key, e.Scope, e.Payload, string(headers), "pending", 0, 0, "", now, now, e.Event()); err != nil {
			return err
		}
	}
	return nil
}

// next returns the number that follows the newest row's, and whether the id is there already.
func (s *Store[T, V]) next(ctx context.Context, tx *sql.Tx, table, id string) (seq int64, there bool, err error) {
	var one int
	if there, err = s.one(ctx, tx, `SELECT 1 FROM `+table+` WHERE id = ?`, []any{id}, &one); there || err != nil {
		return 0, there, err
	}
	_, err = s.one(ctx, tx, `SELECT COALESCE(MAX(seq), 0) + 1 FROM `+table, nil, &seq)
	return seq, false, err
}

func (s *Store[T, V]) Reference(ctx context.Context, key string) (b []byte, err error) {
	err = s.db.ReadTx(ctx, func(tx *sql.Tx) error {
		ok, err := s.one(ctx, tx, `SELECT profile FROM @references WHERE ref_key = ?`, []any{key}, &b)
		if err == nil && !ok {
			return feature.Errorf(feature.NotFound, "tally.reference", key, "not built yet")
		}
		return err
	})
	return b, err
}

func (s *Store[T, V]) PutReference(ctx context.Context, key string, profile []byte, now time.Time) error {
	return s.db.Tx(ctx, func(tx *sql.Tx) error {
		_, err := s.exec(ctx, tx, `INSERT INTO @references (ref_key, profile, built_at) VALUES (?, ?, ?) ON CONFLICT (ref_key) DO NOTHING`,
			key, profile, now.UnixMicro())
		return err
	})
}

func (s *Store[T, V]) Events(ctx context.Context, q tally.EventQuery) (out []tally.Event, err error) {
	where, args := filter("project", q.Project, "monitor", q.Owner, "id", q.ID)
	err = s.db.ReadTx(ctx, func(tx *sql.Tx) error {
		out = nil
		return s.query(ctx, tx, func(scan func(...any) error) error {
			var e tally.Event
			var retrain int64
			err := scan(&e.ID, &e.Project, &e.Owner, &e.View, &e.Type, &e.Time, &e.WindowStart, &e.WindowEnd, &retrain, &e.Payload)
			e.Retrain = retrain == 1
			out = append(out, e)
			return err
		}, `SELECT id, project, monitor, view_name, kind, at, window_start, window_end, retrain, payload FROM drift_events`+and(where)+
			` ORDER BY seq DESC LIMIT ?`, append(args, limit(q.Limit))...)
	})
	return out, err
}

func limit(n int) int {
	if n <= 0 {
		return 100
	}
	return n
}

func (s *Store[T, V]) Prune(ctx context.Context, settled, judged, delivered time.Time, keep ...tally.Kept) error {
	return s.db.Tx(ctx, func(tx *sql.Tx) error {
		if _, err := s.exec(ctx, tx, `DELETE FROM @settled WHERE settled_at < ?`, settled.UnixMicro()); err != nil {
			return err
		}
		if err := s.pruneProfiles(ctx, tx, judged.UnixMicro(), keep); err != nil {
			return err
		}
		_, err := s.exec(ctx, tx, `DELETE FROM drift_outbox WHERE state IN ('delivered', 'discarded') AND updated_at < ?`, delivered.UnixMicro())
		return err
	})
}

// pruneProfiles forgets the profiles of windows judged before. What is kept is told by series, of which there may be
// more than a statement holds: then the windows are looked at one by one.
func (s *Store[T, V]) pruneProfiles(ctx context.Context, tx *sql.Tx, judged int64, keep []tally.Kept) error {
	const old = ` WHERE judged_at <> 0 AND judged_at < ? AND state NOT IN ('open', 'closed') AND profile IS NOT NULL`
	if len(keep) == 0 {
		_, err := s.exec(ctx, tx, `UPDATE @windows SET profile = NULL`+old, judged)
		return err
	}
	from := make(map[tally.Series]int64, len(keep))
	for _, k := range keep {
		from[k.Series] = k.From
	}
	type window struct {
		tally.Series
		start int64
	}
	var gone []window
	err := s.query(ctx, tx, func(scan func(...any) error) error {
		var w window
		var end int64
		if err := scan(&w.Project, &w.Owner, &w.Size, &w.start, &end); err != nil {
			return err
		}
		if at, ok := from[w.Series]; !ok || end <= at {
			gone = append(gone, w)
		}
		return nil
	}, `SELECT project, @owner, size, start_at, end_at FROM @windows`+old, judged)
	if err != nil {
		return err
	}
	for _, w := range gone {
		if _, err := s.exec(ctx, tx, `UPDATE @windows SET profile = NULL WHERE project = ? AND @owner = ? AND size = ? AND start_at = ?`,
			w.Project, w.Owner, w.Size, w.start); err != nil {
			return err
		}
	}
	return nil
}
