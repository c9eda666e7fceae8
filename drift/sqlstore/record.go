package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/weir-ml/weir/drift"
	"github.com/weir-ml/weir/registry/feature"
)

func (s *Store) States(ctx context.Context, project, monitor string) (out []drift.MonitorState, err error) {
	where, args := filter("project", project, "monitor", monitor)
	err = s.db.ReadTx(ctx, func(tx *sql.Tx) error {
		out = nil
		return s.query(ctx, tx, func(scan func(...any) error) error {
			var st drift.MonitorState
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
		}, `SELECT revision, body FROM drift_states`+and(where)+` ORDER BY project, monitor, size`, args...)
	})
	return out, err
}

func (s *Store) Record(ctx context.Context, j *drift.Judgement) (ok bool, err error) {
	verdict := []byte{}
	if j.Verdict != nil {
		if verdict, err = json.Marshal(j.Verdict); err != nil {
			return false, feature.Errorf(feature.Internal, "drift.record", j.Series.String(), "%w", err)
		}
	}
	now := j.At.UnixMicro()
	err = s.db.Tx(ctx, func(tx *sql.Tx) error {
		ok = false
		if j.Next != nil {
			moved, err := s.advance(ctx, tx, *j.Next, now)
			if err != nil {
				return err
			}
			if !moved {
				return errMoved
			}
		}
		n, err := s.exec(ctx, tx, `UPDATE drift_windows SET state = ?, verdict = ?, judged_at = ?
			WHERE project = ? AND monitor = ? AND size = ? AND start_at = ? AND state = 'closed'`,
			string(j.State), string(verdict), now, j.Project, j.Monitor, j.Size, j.Start)
		if err != nil {
			return err
		}
		if n == 0 {
			return errMoved // and the state with it
		}
		if err := s.tell(ctx, tx, j, now); err != nil {
			return err
		}
		ok = true
		return nil
	})
	if errors.Is(err, errMoved) {
		return false, nil
	}
	return ok, err
}

// errMoved rolls a judgement back that came too late. It has a kind so that it passes the transaction unchanged.
var errMoved = feature.Errorf(feature.Conflict, "drift.record", "judgement", "the window or the state has moved on")

// advance replaces the state that next was made from; false when it has moved on.
func (s *Store) advance(ctx context.Context, tx *sql.Tx, next drift.MonitorState, now int64) (bool, error) {
	was := next.Revision
	next.Revision, next.Updated = was+1, now
	body, err := json.Marshal(next)
	if err != nil {
		return false, err
	}
	var n int64
	if was == 0 {
		n, err = s.exec(ctx, tx, `INSERT INTO drift_states (project, monitor, size, revision, body) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (project, monitor, size) DO NOTHING`, next.Project, next.Monitor, next.Size, next.Revision, string(body))
	} else {
		n, err = s.exec(ctx, tx, `UPDATE drift_states SET revision = ?, body = ? WHERE project = ? AND monitor = ? AND size = ? AND revision = ?`,
			next.Revision, string(body), next.Project, next.Monitor, next.Size, was)
	}
	return n == 1, err
}

// tell stores the event and its outbox entries; what is there already stays.
func (s *Store) tell(ctx context.Context, tx *sql.Tx, j *drift.Judgement, now int64) error {
	if e := j.Event; e != nil {
		seq, there, err := s.next(ctx, tx, "drift_events", e.ID)
		if err != nil {
			return err
		}
		if !there {
			if _, err := s.exec(ctx, tx, `INSERT INTO drift_events (id, seq, project, monitor, view_name, kind, at, window_start, window_end, retrain, payload)
				VALUES (`+marks(11)+`)`,
				e.ID, seq, e.Project, e.Monitor, e.View, e.Type, e.Time, e.WindowStart, e.WindowEnd, bit(e.Retrain), e.Payload); err != nil {
				return err
			}
		}
	}
	for i := range j.Outbox {
		e := &j.Outbox[i]
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
		if _, err := s.exec(ctx, tx, `INSERT INTO drift_outbox (`+outboxColumns+`) VALUES (`+marks(13)+`)`,
			e.ID, seq, e.Destination, e.Key, e.Scope, e.Payload, string(headers), "pending", 0, 0, "", now, now); err != nil {
			return err
		}
	}
	return nil
}

// next returns the number that follows the newest row's, and whether the id is there already.
func (s *Store) next(ctx context.Context, tx *sql.Tx, table, id string) (seq int64, there bool, err error) {
	var one int
	if there, err = s.one(ctx, tx, `SELECT 1 FROM `+table+` WHERE id = ?`, []any{id}, &one); there || err != nil {
		return 0, there, err
	}
	_, err = s.one(ctx, tx, `SELECT COALESCE(MAX(seq), 0) + 1 FROM `+table, nil, &seq)
	return seq, false, err
}

func (s *Store) Reference(ctx context.Context, key string) (b []byte, err error) {
	err = s.db.ReadTx(ctx, func(tx *sql.Tx) error {
		ok, err := s.one(ctx, tx, `SELECT profile FROM drift_references WHERE ref_key = ?`, []any{key}, &b)
		if err == nil && !ok {
			return feature.Errorf(feature.NotFound, "drift.reference", key, "not built yet")
		}
		return err
	})
	return b, err
}

func (s *Store) PutReference(ctx context.Context, key string, profile []byte, now time.Time) error {
	return s.db.Tx(ctx, func(tx *sql.Tx) error {
		_, err := s.exec(ctx, tx, `INSERT INTO drift_references (ref_key, profile, built_at) VALUES (?, ?, ?) ON CONFLICT (ref_key) DO NOTHING`,
			key, profile, now.UnixMicro())
		return err
	})
}

func (s *Store) Events(ctx context.Context, q drift.EventQuery) (out []drift.Event, err error) {
	where, args := filter("project", q.Project, "monitor", q.Monitor, "id", q.ID)
	err = s.db.ReadTx(ctx, func(tx *sql.Tx) error {
		out = nil
		return s.query(ctx, tx, func(scan func(...any) error) error {
			var e drift.Event
			var retrain int64
			err := scan(&e.ID, &e.Project, &e.Monitor, &e.View, &e.Type, &e.Time, &e.WindowStart, &e.WindowEnd, &retrain, &e.Payload)
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

func (s *Store) Prune(ctx context.Context, settled, judged, delivered time.Time) error {
	return s.db.Tx(ctx, func(tx *sql.Tx) error {
		if _, err := s.exec(ctx, tx, `DELETE FROM drift_settled WHERE settled_at < ?`, settled.UnixMicro()); err != nil {
			return err
		}
		if _, err := s.exec(ctx, tx, `UPDATE drift_windows SET profile = NULL WHERE judged_at <> 0 AND judged_at < ? AND profile IS NOT NULL`, judged.UnixMicro()); err != nil {
			return err
		}
		_, err := s.exec(ctx, tx, `DELETE FROM drift_outbox WHERE state = 'delivered' AND updated_at < ?`, delivered.UnixMicro())
		return err
	})
}
