package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/registry/feature"
)

const outboxColumns = `id, seq, destination, lane, scope, payload, headers, state, attempts, next_try, last_error, created_at, updated_at`

func scanEntry(scan func(...any) error) (e outbox.Entry, err error) {
	var headers string
	if err = scan(&e.ID, &e.Seq, &e.Destination, &e.Key, &e.Scope, &e.Payload, &headers, &e.State, &e.Attempts, &e.NextTry, &e.LastError, &e.Created, &e.Updated); err != nil {
		return e, err
	}
	return e, json.Unmarshal([]byte(headers), &e.Headers)
}

func (s *Store[T, V]) Claim(ctx context.Context, destinations []string, now time.Time, lease time.Duration, limit int) (out []outbox.Entry, err error) {
	if len(destinations) == 0 {
		return nil, nil
	}
	look := func(tx *sql.Tx) error {
		out = nil
		// An earlier entry of the lane that is not due (leased, or waiting after a
		// failure) blocks all after it; the entry itself is the last of those looked at.
		args := append(anys(destinations), now.UnixMicro(), limit)
		return s.query(ctx, tx, func(scan func(...any) error) error {
			e, err := scanEntry(scan)
			out = append(out, e)
			return err
		}, `SELECT `+outboxColumns+` FROM drift_outbox o WHERE state = 'pending' AND destination IN (`+marks(len(destinations))+`)
			AND NOT EXISTS (SELECT 1 FROM drift_outbox b WHERE b.destination = o.destination AND b.lane = o.lane AND b.state = 'pending'
				AND b.seq <= o.seq AND b.next_try > ?)
			ORDER BY seq LIMIT ?`, args...)
	}
	// Most looks find nothing: they should not take the write lock.
	if err := s.db.ReadTx(ctx, look); err != nil || len(out) == 0 {
		return nil, err
	}
	err = s.db.Tx(ctx, func(tx *sql.Tx) error {
		if err := look(tx); err != nil {
			return err
		}
		until := now.Add(lease).UnixMicro()
		for i := range out {
			out[i].NextTry = until
			if _, err := s.exec(ctx, tx, `UPDATE drift_outbox SET next_try = ? WHERE id = ?`, until, out[i].ID); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (s *Store[T, V]) each(ctx context.Context, ids []string, q string, args ...any) (n int64, err error) {
	err = s.db.Tx(ctx, func(tx *sql.Tx) error {
		n = 0
		for _, id := range ids {
			k, err := s.exec(ctx, tx, q, append(append([]any(nil), args...), id)...)
			if err != nil {
				return err
			}
			n += k
		}
		return nil
	})
	return n, err
}

func (s *Store[T, V]) Done(ctx context.Context, ids []string, now time.Time) error {
	_, err := s.each(ctx, ids, `UPDATE drift_outbox SET state = 'delivered', attempts = attempts + 1, last_error = '', updated_at = ? WHERE id = ?`, now.UnixMicro())
	return err
}

func (s *Store[T, V]) Fail(ctx context.Context, id, cause string, now, next time.Time, dead bool) error {
	state := outbox.Pending
	if dead {
		state = outbox.Dead
	}
	_, err := s.each(ctx, []string{id}, `UPDATE drift_outbox SET state = ?, attempts = attempts + 1, last_error = ?, next_try = ?, updated_at = ?
		WHERE state = 'pending' AND id = ?`, string(state), cause, next.UnixMicro(), now.UnixMicro())
	return err
}

func (s *Store[T, V]) Release(ctx context.Context, ids []string, now time.Time) error {
	_, err := s.each(ctx, ids, `UPDATE drift_outbox SET next_try = ? WHERE state = 'pending' AND id = ?`, now.UnixMicro())
	return err
}

func (s *Store[T, V]) Entries(ctx context.Context, q outbox.Query) (out []outbox.Entry, err error) {
	where, args := filter("state", string(q.State), "destination", q.Destination, "id", q.ID)
	err = s.db.ReadTx(ctx, func(tx *sql.Tx) error {
		out = nil
		return s.query(ctx, tx, func(scan func(...any) error) error {
			e, err := scanEntry(scan)
			out = append(out, e)
			return err
		}, `SELECT `+outboxColumns+` FROM drift_outbox`+and(where)+` ORDER BY seq DESC LIMIT ?`, append(args, limit(q.Limit))...)
	})
	return out, err
}

func (s *Store[T, V]) Resend(ctx context.Context, id string, now time.Time) error {
	n, err := s.each(ctx, []string{id}, `UPDATE drift_outbox SET state = 'pending', attempts = 0, last_error = '', next_try = ?, updated_at = ? WHERE id = ?`,
		now.UnixMicro(), now.UnixMicro())
	if err == nil && n == 0 {
		return feature.Errorf(feature.NotFound, "outbox.resend", "entry "+id, "there is none")
	}
	return err
}
