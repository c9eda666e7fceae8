package sqldb

import (
	"context"
	"database/sql"
	"math/rand/v2"
	"time"
)

// attempts bounds how often a transaction that lost to another is run again.
const attempts = 20

// Tx runs fn in a transaction that behaves as if it ran alone: BEGIN IMMEDIATE
// on SQLite, SERIALIZABLE on PostgreSQL. A transaction that lost to another is
// run again, so fn must have no effect outside it. An error of fn rolls back
// and is returned classified (see Classify).
//
// A feature.Unavailable error from the commit itself means that the outcome is
// unknown. Tx must not be nested.
func (db *DB) Tx(ctx context.Context, fn func(*sql.Tx) error) error {
	opt := &sql.TxOptions{}
	if db.Dialect == Postgres {
		opt.Isolation = sql.LevelSerializable
	}
	return db.run(ctx, opt, db.writer, fn)
}

// ReadTx runs fn on one consistent state of the database, without blocking writers.
func (db *DB) ReadTx(ctx context.Context, fn func(*sql.Tx) error) error {
	opt := &sql.TxOptions{ReadOnly: true}
	if db.Dialect == Postgres {
		opt.Isolation = sql.LevelRepeatableRead
	}
	return db.run(ctx, opt, nil, fn)
}

func (db *DB) run(ctx context.Context, opt *sql.TxOptions, gate chan struct{}, fn func(*sql.Tx) error) error {
	if gate != nil {
		select {
		case gate <- struct{}{}:
			defer func() { <-gate }()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	pause := 2 * time.Millisecond
	for try := 1; ; try++ {
		err := db.once(ctx, opt, fn)
		if err == nil || try == attempts || !again(err) {
			return Classify("sqldb.tx", db.name, err)
		}
		// Losers spread out, or they meet again.
		t := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		}
		pause = min(2*pause, 200*time.Millisecond)
	}
}

func (db *DB) once(ctx context.Context, opt *sql.TxOptions, fn func(*sql.Tx) error) error {
	tx, err := db.SQL.BeginTx(ctx, opt)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing; also runs when fn panics
	if err := fn(tx); err != nil {
		return err
	}
	return tx.Commit()
}
