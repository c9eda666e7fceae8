package ingest

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/weir-ml/weir/registry/feature"
)

// Ledger remembers which imports have ended, and which content was found under
// which name, so that a content that is known need not travel nor be read again.
// It is a hint and nothing more: the table's positions are the truth, and what
// the ledger has lost is only done again to no effect.
type Ledger struct {
	path string

	mu    sync.Mutex
	done  map[string]int64  // guarded by mu; by view and id: rows of the content
	found map[string]string // guarded by mu; by view, place, name and stamp: id
}

// ledgerLine is a line of the file.
type ledgerLine struct {
	View  string `json:"view"`
	ID    string `json:"id"`
	Rows  int64  `json:"rows,omitempty"`
	Place string `json:"place,omitempty"` // where it was found; empty: Rows counts
	Name  string `json:"name,omitempty"`
	Stamp string `json:"stamp,omitempty"` // size and version of the file
}

func (l ledgerLine) key() string {
	if l.Place == "" {
		return l.View + "\x00" + l.ID
	}
	return l.View + "\x00" + l.Place + "\x00" + l.Name + "\x00" + l.Stamp
}

// OpenLedger reads a ledger, which need not exist. Without a path it is kept in memory.
func OpenLedger(path string) (*Ledger, error) {
	l := &Ledger{path: path, done: map[string]int64{}, found: map[string]string{}}
	if path == "" {
		return l, nil
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err != nil {
		return nil, feature.Errorf(feature.Internal, "ingest.ledger", path, "%w", err)
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		var line ledgerLine
		if json.Unmarshal(s.Bytes(), &line) == nil { // a line that was cut off by a crash is forgotten
			l.note(line)
		}
	}
	return l, nil
}

// note takes a line in; false when it says nothing new.
func (l *Ledger) note(line ledgerLine) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if line.Place == "" {
		if rows, ok := l.done[line.key()]; ok && rows == line.Rows {
			return false
		}
		l.done[line.key()] = line.Rows
		return true
	}
	if l.found[line.key()] == line.ID {
		return false
	}
	l.found[line.key()] = line.ID
	return true
}

// write notes a line and appends it to the file. What fails is only forgotten later.
func (l *Ledger) write(line ledgerLine) {
	if !l.note(line) || l.path == "" {
		return
	}
	text, err := json.Marshal(line)
	if err != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := os.MkdirAll(filepath.Dir(l.path), 0o755); err != nil {
		return
	}
	f, err := os.OpenFile(l.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	defer f.Close()
	// After a line that a crash has cut off, this one must not be lost with it.
	_, _ = f.Write(append(append([]byte{'\n'}, text...), '\n'))
}

func (l *Ledger) finished(view string, id [16]byte, rows int64) {
	l.write(ledgerLine{View: view, ID: hex.EncodeToString(id[:]), Rows: rows})
}

func (l *Ledger) place(view, place string, f ImportFile, id string) {
	l.write(ledgerLine{View: view, ID: id, Place: place, Name: f.Name, Stamp: f.stamp()})
}

// rows is how many rows a content had when its import ended.
func (l *Ledger) rows(view, id string) (int64, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, ok := l.done[ledgerLine{View: view, ID: id}.key()]
	return n, ok
}

// content is the id of what a file held when it was imported.
func (l *Ledger) content(view, place string, f ImportFile) (string, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	id, ok := l.found[ledgerLine{View: view, Place: place, Name: f.Name, Stamp: f.stamp()}.key()]
	return id, ok
}

// Imported reports whether all rows of a content are in a view's table, or in
// its quarantine. id is the hex of the first half of its SHA-256.
func (im *Importer) Imported(ctx context.Context, v *feature.View, id string) (res ImportResult, ok bool, err error) {
	rows, ok := im.Ledger.rows(v.ID(), id)
	if !ok || im.Positions == nil {
		return res, false, nil
	}
	at, err := im.Positions(ctx, v)
	if err != nil {
		return res, false, err
	}
	for _, p := range at { // a table that was rolled back since stands elsewhere
		if p.Partition == feature.ImportPartition && hex.EncodeToString(p.TopicID[:]) == id && p.Next == rows {
			res.Rows, res.Skipped, res.ID, res.Started = rows, rows, id, p.Started
			return res, true, nil
		}
	}
	return res, false, nil
}
