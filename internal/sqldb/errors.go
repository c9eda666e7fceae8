package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/weir-ml/weir/registry/feature"
)

// Classify wraps a database error in a feature.Error: Unavailable when the same
// statement may work later, Conflict when a uniqueness rule refused the row,
// Invalid when the database refuses it for good, NotFound for sql.ErrNoRows. An
// error that already has a kind, and a cancelled context, pass unchanged.
func Classify(op, what string, err error) error {
	var fe *feature.Error
	switch {
	case err == nil, errors.As(err, &fe), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	kind, hint := kindOf(err)
	e := feature.Errorf(kind, op, what, "%w", err)
	e.Hint = hint
	return e
}

func kindOf(err error) (feature.ErrorKind, string) {
	var pe *pgconn.PgError
	var se *sqlite.Error
	var ne net.Error
	var ce *pgconn.ConnectError
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return feature.NotFound, ""
	case errors.As(err, &pe): // before ConnectError, which may wrap the server's own answer
		return kindOfPostgres(pe.Code)
	case errors.As(err, &se):
		return kindOfSQLite(se.Code())
	case errors.As(err, &ce), errors.As(err, &ne), errors.Is(err, driver.ErrBadConn), errors.Is(err, io.EOF),
		errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, sql.ErrConnDone), pgconn.SafeToRetry(err):
		return feature.Unavailable, "is the database up and reachable?"
	}
	return feature.Internal, ""
}

func kindOfPostgres(code string) (feature.ErrorKind, string) {
	switch {
	case code == "23505":
		return feature.Conflict, ""
	case strings.HasPrefix(code, "28"):
		return feature.Invalid, "check user and password in the database url"
	case code == "3D000":
		return feature.Invalid, "create the database first"
	case code == "42501":
		return feature.Invalid, "grant the user rights on the schema"
	case strings.HasPrefix(code, "08"), strings.HasPrefix(code, "40"), strings.HasPrefix(code, "53"),
		strings.HasPrefix(code, "57"), strings.HasPrefix(code, "58"), code == "55P03", code == "25006", code == "25P03":
		return feature.Unavailable, ""
	}
	return feature.Invalid, ""
}

func kindOfSQLite(code int) (feature.ErrorKind, string) {
	switch code & 0xff { // extended codes carry the primary one in their low byte
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return feature.Unavailable, "another process holds the database for long"
	case sqlite3.SQLITE_FULL:
		return feature.Unavailable, "the disk is full"
	case sqlite3.SQLITE_IOERR: // also what a write is answered with that a limit on file sizes refuses
		return feature.Unavailable, "look at the disk of the database's file: its space, and the limits on it"
	case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_INTERRUPT:
		return feature.Unavailable, ""
	case sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT:
		return feature.Invalid, "the file is not a SQLite database, or is damaged"
	case sqlite3.SQLITE_READONLY:
		return feature.Invalid, "the database file is read-only"
	case sqlite3.SQLITE_CONSTRAINT:
		if code == sqlite3.SQLITE_CONSTRAINT_UNIQUE || code == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY {
			return feature.Conflict, ""
		}
	}
	return feature.Invalid, ""
}

// again reports whether the database itself asks to run the transaction once more.
func again(err error) bool {
	var pe *pgconn.PgError
	var se *sqlite.Error
	switch {
	case errors.As(err, &pe):
		return pe.Code == "40001" || pe.Code == "40P01"
	case errors.As(err, &se):
		c := se.Code() & 0xff
		return c == sqlite3.SQLITE_BUSY || c == sqlite3.SQLITE_LOCKED
	}
	return false
}
