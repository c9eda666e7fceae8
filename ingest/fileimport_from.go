package ingest

import (
	"context"
	"os"
	"path"
	"time"

	"github.com/weir-ml/weir/registry/feature"
)

// FromRequest has files brought in that the server reads itself.
type FromRequest struct {
	ImportRequest // Path and Name are of each file
	Location      string
	Place         ImportPlace
	Selection
	Watch    bool          // look again and again, until the context ends
	Interval time.Duration // between two looks; ten seconds when 0
	Spool    string        // folder for copies of what is not on this machine
}

// FromEvent is what happens: progress of a file, its result, or why it failed.
type FromEvent struct {
	File     string // its whole name
	Files    int64  // found so far
	Progress *ImportProgress
	Result   *ImportResult
	Err      error
}

// ImportFrom brings in the files of a place, one after the other, and reports
// each. A file that fails does not stop the others. The error is of the place as a
// whole.
//
// Watching, a file is taken once two looks in a row have found it with the same
// size and version (or, with a DoneSuffix, once its marker is there), and a file
// that has been taken is not read again while it stays the same.
func (im *Importer) ImportFrom(ctx context.Context, req FromRequest, report func(FromEvent)) error {
	if req.Interval <= 0 {
		req.Interval = 10 * time.Second
	}
	before := map[ImportFile]bool{} // as the look before found them
	failed := map[ImportFile]bool{} // for good, while they stay as they are
	first := true
	for {
		files, err := req.Select(ctx, req.Place)
		if err != nil && (!req.Watch || feature.KindOf(err) != feature.Unavailable) {
			return err
		}
		if err != nil {
			im.Log.Warn("a look for files failed; the next one comes", "location", req.Location, "err", err)
		}
		if first && len(files) == 0 && !req.Watch {
			return feature.Errorf(feature.NotFound, "ingest.import", req.Location, "no file to import").
				WithHint("names must end in .csv, .tsv, .jsonl, .parquet or .arrow, also with .gz or .zst, or give --format; check --glob")
		}
		first = false
		now := make(map[ImportFile]bool, len(files))
		for _, f := range files {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			now[f] = true
			if req.Watch && (failed[f] || req.DoneSuffix == "" && !before[f]) {
				continue
			}
			ev := FromEvent{File: req.name(f), Files: int64(len(files))}
			res, known, err := im.importPlaced(ctx, req, f, func(p ImportProgress) {
				e := ev
				e.Progress = &p
				report(e)
			})
			if known && req.Watch {
				continue
			}
			if err != nil && ctx.Err() != nil {
				return ctx.Err()
			}
			if ev.Err = err; err == nil {
				ev.Result = &res
			}
			if req.Watch && (req.DryRun || err != nil && feature.KindOf(err) != feature.Unavailable) {
				failed[f] = true
			}
			report(ev)
		}
		if !req.Watch {
			return nil
		}
		before = now
		for f := range failed {
			if !now[f] {
				delete(failed, f)
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(req.Interval):
		}
	}
}

func (r *FromRequest) name(f ImportFile) string {
	if f.Name == "" {
		return r.Location
	}
	return trimSlash(r.Location) + "/" + f.Name
}

func trimSlash(s string) string {
	for len(s) > 1 && s[len(s)-1] == '/' {
		s = s[:len(s)-1]
	}
	return s
}

// importPlaced brings one file in; known tells that its content was in already and was not read.
func (im *Importer) importPlaced(ctx context.Context, req FromRequest, f ImportFile, progress func(ImportProgress)) (res ImportResult, known bool, err error) {
	cat, err := im.Catalogs.Current(ctx)
	if err != nil {
		return res, false, err
	}
	v, err := cat.View(req.Project, req.View)
	if err != nil {
		return res, false, err
	}
	if id, ok := im.Ledger.content(v.ID(), req.Location, f); ok && !req.DryRun {
		if res, known, err = im.Imported(ctx, v, id); known || err != nil {
			return res, known, err
		}
	}
	one := req.ImportRequest
	one.Name = path.Base(req.name(f))
	if one.Path = req.Place.Path(f.Name); one.Path != "" {
		one.Unchanged = unchanged(one.Path, f)
		if err := one.Unchanged(); err != nil {
			return res, false, err
		}
	} else {
		if one.Path, err = spool(ctx, req.Place, f, one.Name, req.Spool); err != nil {
			return res, false, err
		}
		defer os.Remove(one.Path)
	}
	if res, err = im.Import(ctx, one, progress); err == nil && !req.DryRun {
		im.Ledger.place(v.ID(), req.Location, f, res.ID)
	}
	return res, false, err
}
