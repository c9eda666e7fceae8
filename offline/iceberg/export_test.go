package iceberg

import (
	"context"
	"encoding/json"

	iceberggo "github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/weir-ml/weir/offline"
)

// LoseAnswers makes the next n commits of a table's handle land, or not land,
// and come back with an error either way, as when the database goes away.
func LoseAnswers(t offline.Table, landed bool, n int) {
	t.(*Table).store.answer = func(swap func() (bool, error)) (bool, error) {
		if n--; n < 0 {
			return swap()
		}
		if landed {
			if _, err := swap(); err != nil {
				return false, err
			}
		}
		return false, errLost
	}
}

type lostError struct{}

func (lostError) Error() string   { return "connection lost" }
func (lostError) Timeout() bool   { return true }
func (lostError) Temporary() bool { return true }

var errLost error = lostError{}

// Foreign changes a table as another engine would, by iceberg-go's own transactions.
func Foreign(ctx context.Context, t offline.Table, fn func(*table.Table, *table.Transaction) error) error {
	tb := t.(*Table)
	now, err := tb.load(ctx)
	if err != nil {
		return err
	}
	h := tb.handle(now)
	tx := h.NewTransaction()
	if err := fn(h, tx); err != nil {
		return err
	}
	_, err = tx.Commit(ctx)
	return err
}

// RollBack sets the main branch to an older snapshot.
func RollBack(ctx context.Context, t offline.Table, snapshot int64) error {
	tb := t.(*Table)
	now, err := tb.load(ctx)
	if err != nil {
		return err
	}
	_, _, err = swapper{tb, now, &attempted{}}.CommitTable(ctx, table.Identifier{tb.view.Meta.Project, tb.view.Meta.Name}, nil,
		[]table.Update{table.NewSetSnapshotRefUpdate(table.MainBranch, snapshot, table.BranchRef, 0, 0, 0)})
	return err
}

// FieldPositions is the property that carries the positions.
const FieldPositions = propPositions

// RoundTrip writes positions down and reads them back.
func RoundTrip(text string) (string, error) {
	s, err := decodeStanding(text)
	if err != nil {
		return "", err
	}
	return s.encode(), nil
}

// DataFile describes f as a manifest entry of the table.
func DataFile(ctx context.Context, t offline.Table, f offline.File) (iceberggo.DataFile, error) {
	now, err := t.(*Table).load(ctx)
	if err != nil {
		return nil, err
	}
	return dataFileOf(f, now.meta.PartitionSpec(), now.meta.DefaultSortOrder())
}

// Metadata is the newest metadata file of the table, and the same as iceberg-go writes it.
func Metadata(ctx context.Context, t offline.Table) (file, byIceberg []byte, err error) {
	tb := t.(*Table)
	now, err := tb.load(ctx)
	if err != nil {
		return nil, nil, err
	}
	if file, err = tb.store.files.ReadFile(now.location); err != nil {
		return nil, nil, err
	}
	byIceberg, err = json.Marshal(now.meta)
	return file, byIceberg, err
}

// Branch makes a branch beside ours.
func Branch(ctx context.Context, t offline.Table, name string, snapshot int64) error {
	tb := t.(*Table)
	now, err := tb.load(ctx)
	if err != nil {
		return err
	}
	_, err = tb.commit(ctx, now, &attempted{files: tb.store.files}, table.NewSetSnapshotRefUpdate(name, snapshot, table.BranchRef, 0, 0, 0))
	return err
}
