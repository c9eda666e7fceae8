package sqlstore

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/weir-ml/weir/internal/tally"
)

const windowColumns = `project, @owner, size, start_at, end_at, state, n_rows, import_rows, late, imports, verdict, closed_at, judged_at, deltas, seen, amended`

var bareColumns = strings.Replace(windowColumns, "verdict", "''", 1)

// scanWindow reads windowColumns, and the profile after them when there is a place for it.
func (s *Store[T, V]) scanWindow(scan func(...any) error, w *tally.Record[T, V], profile *[]byte) error {
	var imports, verdict string
	into := []any{&w.Project, &w.Owner, &w.Size, &w.Start, &w.End, &w.State, &w.Rows, &w.ImportRows, &w.Late, &imports, &verdict, &w.ClosedAt, &w.JudgedAt,
		&w.Deltas, &w.Seen, &w.Amended}
	if profile != nil {
		into = append(into, profile)
	}
	if err := scan(into...); err != nil {
		return err
	}
	if imports != "" {
		w.Imports = strings.Split(imports, ",")
	}
	if verdict != "" {
		if err := json.Unmarshal([]byte(verdict), &w.Verdict); err != nil {
			return err
		}
	}
	if profile != nil && len(*profile) > 0 {
		var err error
		w.Profile, err = s.decode(*profile)
		return err
	}
	return nil
}

// add merges a delta into its window.
func (s *Store[T, V]) add(ctx context.Context, tx *sql.Tx, d *tally.Delta[T]) error {
	w := tally.Record[T, V]{Series: d.Series, Start: d.Start, End: d.End, State: tally.Open}
	var profile []byte
	row := tx.QueryRowContext(ctx, s.text(`SELECT `+windowColumns+`, profile FROM @windows
		WHERE project = ? AND @owner = ? AND size = ? AND start_at = ?`), d.Project, d.Owner, d.Size, d.Start)
	if err := s.scanWindow(row.Scan, &w, &profile); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	open := w.State == tally.Open
	w.Add(d)
	if !open {
		_, err := s.exec(ctx, tx, `UPDATE @windows SET late = ? WHERE project = ? AND @owner = ? AND size = ? AND start_at = ?`,
			w.Late, d.Project, d.Owner, d.Size, d.Start)
		return err
	}
	b, err := w.Profile.MarshalBinary()
	if err != nil {
		return err
	}
	_, err = s.exec(ctx, tx, `INSERT INTO @windows (`+windowColumns+`, profile) VALUES (`+marks(17)+`)
		ON CONFLICT (project, @owner, size, start_at) DO UPDATE SET
		n_rows = excluded.n_rows, import_rows = excluded.import_rows, imports = excluded.imports, deltas = excluded.deltas, profile = excluded.profile`,
		d.Project, d.Owner, d.Size, w.Start, w.End, string(w.State), w.Rows, w.ImportRows, w.Late, strings.Join(w.Imports, ","), "", 0, 0, w.Deltas, 0, 0, b)
	return err
}

const progressColumns = `view_id, topic_id, part, parts, next_at, max_event, any_event, drained, final, since_at, updated_at, n_rows, landed_at`

func scanProgress(scan func(...any) error, p *tally.Progress) error {
	var topic string
	var any, drained, final int64
	if err := scan(&p.View, &topic, &p.Partition, &p.Partitions, &p.Next, &p.MaxEvent, &any, &drained, &final, &p.Since, &p.Updated, &p.Rows, &p.Landed); err != nil {
		return err
	}
	p.Any, p.Drained, p.Final = any == 1, drained == 1, final == 1
	_, err := hex.Decode(p.TopicID[:], []byte(topic))
	return err
}

// progress reads what is known of a partition, nil when there is nothing.
func (s *Store[T, V]) progress(ctx context.Context, tx *sql.Tx, view, topic string, p int32) (*tally.Progress, error) {
	var out tally.Progress
	row := tx.QueryRowContext(ctx, s.text(`SELECT `+progressColumns+` FROM @progress WHERE view_id = ? AND topic_id = ? AND part = ?`),
		view, topic, p)
	err := scanProgress(row.Scan, &out)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return &out, err
}

func (s *Store[T, V]) putProgress(ctx context.Context, tx *sql.Tx, p *tally.Progress) error {
	_, err := s.exec(ctx, tx, `INSERT INTO @progress (`+progressColumns+`) VALUES (`+marks(13)+`)
		ON CONFLICT (view_id, topic_id, part) DO UPDATE SET parts = excluded.parts, next_at = excluded.next_at, max_event = excluded.max_event,
		any_event = excluded.any_event, drained = excluded.drained, final = excluded.final, since_at = excluded.since_at, updated_at = excluded.updated_at,
		n_rows = excluded.n_rows, landed_at = excluded.landed_at`,
		p.View, hex.EncodeToString(p.TopicID[:]), p.Partition, p.Partitions, p.Next, p.MaxEvent, bit(p.Any), bit(p.Drained), bit(p.Final), p.Since, p.Updated, p.Rows, p.Landed)
	return err
}

// move applies a mark to the progress of its partition.
func (s *Store[T, V]) move(ctx context.Context, tx *sql.Tx, view string, m *tally.Mark, now int64) error {
	p, err := s.progress(ctx, tx, view, hex.EncodeToString(m.TopicID[:]), m.Partition)
	if err != nil {
		return err
	}
	if p == nil {
		p = &tally.Progress{View: view, TopicID: m.TopicID, Partition: m.Partition}
	}
	p.Apply(m, now)
	return s.putProgress(ctx, tx, p)
}

func (s *Store[T, V]) Progress(ctx context.Context, view string) (out []tally.Progress, err error) {
	err = s.db.ReadTx(ctx, func(tx *sql.Tx) error {
		out = nil
		return s.query(ctx, tx, func(scan func(...any) error) error {
			var p tally.Progress
			err := scanProgress(scan, &p)
			out = append(out, p)
			return err
		}, `SELECT `+progressColumns+` FROM @progress WHERE view_id = ? ORDER BY topic_id, part`, view)
	})
	return out, err
}

func (s *Store[T, V]) Windows(ctx context.Context, q tally.WindowQuery) (out []tally.Record[T, V], err error) {
	sel := `SELECT ` + windowColumns
	if q.Bare {
		sel = `SELECT ` + bareColumns
	}
	if q.Profiles {
		sel += `, profile`
	}
	where, args := filter("project", q.Project, "@owner", q.Owner, "size", q.Size)
	if len(q.States) > 0 {
		where = append(where, `state IN (`+marks(len(q.States))+`)`)
		for _, st := range q.States {
			args = append(args, string(st))
		}
	}
	if len(q.Starts) > 0 {
		where = append(where, `start_at IN (`+marks(len(q.Starts))+`)`)
		args = append(args, anys(q.Starts)...)
	}
	if q.From != 0 || q.Before != 0 {
		where = append(where, `start_at >= ? AND start_at < ?`)
		args = append(args, q.From, q.Before)
	}
	sel += ` FROM @windows` + and(where) + ` ORDER BY project, @owner, size, start_at`
	if q.Newest {
		sel += ` DESC`
	}
	if q.Limit > 0 {
		sel += ` LIMIT ?`
		args = append(args, q.Limit)
	}
	err = s.db.ReadTx(ctx, func(tx *sql.Tx) error {
		out = nil
		return s.query(ctx, tx, func(scan func(...any) error) error {
			var w tally.Record[T, V]
			var profile *[]byte
			if q.Profiles {
				profile = new([]byte)
			}
			err := s.scanWindow(scan, &w, profile)
			out = append(out, w)
			return err
		}, sel, args...)
	})
	return out, err
}

func (s *Store[T, V]) Counts(ctx context.Context, r tally.Series) (out map[tally.WindowState]int64, err error) {
	err = s.db.ReadTx(ctx, func(tx *sql.Tx) error {
		out = map[tally.WindowState]int64{}
		return s.query(ctx, tx, func(scan func(...any) error) error {
			var state tally.WindowState
			var n int64
			err := scan(&state, &n)
			out[state] = n
			return err
		}, `SELECT state, COUNT(*) FROM @windows WHERE project = ? AND @owner = ? AND size = ? GROUP BY state`, r.Project, r.Owner, r.Size)
	})
	return out, err
}

// filter makes conditions of pairs of column and text; an empty text chooses all.
func filter(pairs ...string) (where []string, args []any) {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			where = append(where, pairs[i]+` = ?`)
			args = append(args, pairs[i+1])
		}
	}
	return where, args
}

func and(where []string) string {
	if len(where) == 0 {
		return ""
	}
	return ` WHERE ` + strings.Join(where, ` AND `)
}

func (s *Store[T, V]) Close(ctx context.Context, r tally.Series, starts []int64, now time.Time) error {
	return s.db.Tx(ctx, func(tx *sql.Tx) error {
		for _, at := range starts {
			if _, err := s.exec(ctx, tx, `UPDATE @windows SET state = 'closed', closed_at = ?
				WHERE project = ? AND @owner = ? AND size = ? AND start_at = ? AND state = 'open'`,
				now.UnixMicro(), r.Project, r.Owner, r.Size, at); err != nil {
				return err
			}
		}
		return nil
	})
}
