package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/weir-ml/weir/internal/outbox"
)

const outboxColumns = `id, seq, destination, lane, scope, payload, headers, state, attempts, next_try, last_error, created_at, updated_at`

func scanEntry(scan func(...any) error) (e outbox.Entry, err error) {
	var headers string
	if err = scan(&e.ID, &e.Seq, &e.Destination, &e.Key, &e.Scope, &e.Payload, &headers, &e.State, &e.Attempts, &e.NextTry, &e.LastError, &e.Created, &e.Updated); err != nil {
		return e, err
	}
	return e, json.Unmarshal([]byte(headers), &e.Headers)
}

// looks is how many pending entries are looked at first for each that is wanted. Where that many
// are not enough, keys wait, and all are looked at.
const looks = 4

func (s *Store[T, V]) Claim(ctx context.Context, destination string, now time.Time, lease time.Duration, limit int) (out []outbox.Entry, err error) {
	var ids []any
	// An earlier entry of the lane that is not due (leased, or waiting after a failure) holds back all
	// after it: so the latest next_try of the lane up to an entry decides. Asked this way, and not
	// whether such an entry exists, the cost grows with the entries that are looked at and not with their square.
	due := func(tx *sql.Tx, most int) (seen int, err error) {
		ids = ids[:0]
		among, args := `SELECT id, seq, lane, next_try FROM drift_outbox WHERE state = 'pending' AND destination = ?`, []any{destination}
		if most > 0 {
			among, args = among+` ORDER BY seq LIMIT ?`, append(args, most)
		}
		err = s.query(ctx, tx, func(scan func(...any) error) error {
			var id string
			var held, all int64
			err := scan(&id, &held, &all)
			if seen = int(all); held <= now.UnixMicro() && len(ids) < limit {
				ids = append(ids, id)
			}
			return err
		}, `SELECT id, held, n FROM (SELECT id, seq, MAX(next_try) OVER (PARTITION BY lane ORDER BY seq) AS held, COUNT(*) OVER () AS n
			FROM (`+among+`) AS p) AS q ORDER BY seq`, args...)
		return seen, err
	}
	look := func(tx *sql.Tx) error {
		most := looks * limit
		seen, err := due(tx, most)
		if err == nil && len(ids) < limit && seen == most {
			_, err = due(tx, 0)
		}
		return err
	}
	// Most looks find nothing: they should not take the write lock.
	if err := s.db.ReadTx(ctx, look); err != nil || len(ids) == 0 {
		return nil, err
	}
	err = s.db.Tx(ctx, func(tx *sql.Tx) error {
		out = out[:0]
		if err := look(tx); err != nil {
			return err
		}
		until := now.Add(lease).UnixMicro()
		for part := range slices.Chunk(ids, most) {
			in := ` WHERE id IN (` + marks(len(part)) + `)`
			if _, err := s.exec(ctx, tx, `UPDATE drift_outbox SET next_try = ?`+in, append([]any{until}, part...)...); err != nil {
				return err
			}
			if err := s.query(ctx, tx, func(scan func(...any) error) error {
				e, err := scanEntry(scan)
				out = append(out, e)
				return err
			}, `SELECT `+outboxColumns+` FROM drift_outbox`+in, part...); err != nil {
				return err
			}
		}
		slices.SortFunc(out, func(a, b outbox.Entry) int { return cmp.Compare(a.Seq, b.Seq) })
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// most ids of a statement.
const most = 500

// each changes the entries of these ids.
func (s *Store[T, V]) each(ctx context.Context, ids []string, set, where string, args ...any) (n int64, err error) {
	err = s.db.Tx(ctx, func(tx *sql.Tx) error {
		n = 0
		for part := range slices.Chunk(ids, most) {
			k, err := s.exec(ctx, tx, `UPDATE drift_outbox SET `+set+` WHERE `+where+` id IN (`+marks(len(part))+`)`, append(slices.Clone(args), anys(part)...)...)
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
	_, err := s.each(ctx, ids, `state = 'delivered', attempts = attempts + 1, last_error = '', updated_at = ?`, ``, now.UnixMicro())
	return err
}

func (s *Store[T, V]) Fail(ctx context.Context, id, cause string, now, next time.Time, dead bool) error {
	// What a server answered may be anything, and PostgreSQL's texts are not: the attempt would never be counted.
	cause = strings.ReplaceAll(strings.ToValidUTF8(cause, "\uFFFD"), "\x00", "\uFFFD")
	state := outbox.Pending
	if dead {
		state = outbox.Dead
	}
	_, err := s.each(ctx, []string{id}, `state = ?, attempts = attempts + 1, last_error = ?, next_try = ?, updated_at = ?`, `state = 'pending' AND`,
		string(state), cause, next.UnixMicro(), now.UnixMicro())
	return err
}

func (s *Store[T, V]) Release(ctx context.Context, ids []string, now time.Time) error {
	_, err := s.each(ctx, ids, `next_try = ?`, `state = 'pending' AND`, now.UnixMicro())
	return err
}

func (s *Store[T, V]) Entries(ctx context.Context, q outbox.Query) (out []outbox.Entry, err error) {
	where, args := filter("state", string(q.State), "destination", q.Destination, "scope", q.Scope, "id", q.ID)
	if len(q.Events) > 0 {
		where, args = append(where, `event_id IN (`+marks(len(q.Events))+`)`), append(args, anys(q.Events)...)
	}
	if q.Below > 0 {
		where, args = append(where, `seq < ?`), append(args, q.Below)
	}
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

func (s *Store[T, V]) Resend(ctx context.Context, ids []string, now time.Time) (int64, error) {
	return s.each(ctx, ids, `state = 'pending', attempts = 0, last_error = '', next_try = ?, updated_at = ?`, ``, now.UnixMicro(), now.UnixMicro())
}

func (s *Store[T, V]) Discard(ctx context.Context, ids []string, now time.Time) (int64, error) {
	return s.each(ctx, ids, `state = 'discarded', updated_at = ?`, `state = 'dead' AND`, now.UnixMicro())
}

func (s *Store[T, V]) Backlogs(ctx context.Context) (out []outbox.Backlog, err error) {
	err = s.db.ReadTx(ctx, func(tx *sql.Tx) error {
		out = nil
		return s.query(ctx, tx, func(scan func(...any) error) error {
			var b outbox.Backlog
			err := scan(&b.Destination, &b.Scope, &b.Pending, &b.Dead, &b.Oldest, &b.DeadSince, &b.Newest)
			out = append(out, b)
			return err
		}, `SELECT destination, scope, SUM(CASE WHEN state = 'pending' THEN 1 ELSE 0 END), SUM(CASE WHEN state = 'dead' THEN 1 ELSE 0 END),
			COALESCE(MIN(CASE WHEN state = 'pending' THEN created_at END), 0), COALESCE(MIN(CASE WHEN state = 'dead' THEN updated_at END), 0),
			COALESCE(MAX(CASE WHEN state = 'dead' THEN seq END), 0)
			FROM drift_outbox WHERE state IN ('pending', 'dead') GROUP BY destination, scope ORDER BY destination, scope`)
	})
	return out, err
}
