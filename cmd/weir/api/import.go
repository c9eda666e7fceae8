package api

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/internal/tabular"
	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry/feature"
)

// Import spools the file, then takes it in.
func (s *Ingest) Import(stream weirv1.IngestService_ImportServer) error {
	if s.Importer == nil {
		return errNoIngest
	}
	ctx := stream.Context()
	first, err := stream.Recv()
	h := first.GetHeader()
	if err := headed("ingest.import", h != nil, err); err != nil {
		return err
	}
	// What can be refused is refused before the file travels.
	req, err := importRequest(h.Project, h.View, h.FileName, h.Format, h.Options)
	if err != nil {
		return err
	}
	if req.DryRun = h.DryRun; req.Format == "" {
		if req.Format, err = tabular.FormatOf(req.Name); err != nil {
			return feature.Errorf(feature.Invalid, "ingest.import", req.Name, "%w", err)
		}
	}
	cat, err := s.Registry.Current(ctx)
	if err != nil {
		return err
	}
	v, err := cat.View(req.Project, req.View)
	if err != nil {
		return err
	}
	if h.ContentHash != "" {
		if sum, err := hex.DecodeString(h.ContentHash); err != nil || len(sum) != 32 {
			return feature.Errorf(feature.Invalid, "ingest.import", req.Name, "content_hash: not a SHA-256 in hex: %q", feature.Shorten([]byte(h.ContentHash)))
		}
		req.ID = strings.ToLower(h.ContentHash)[:32]
		if !req.DryRun {
			res, have, err := s.Importer.Imported(ctx, v, req.ID)
			if err != nil {
				return err
			}
			if have {
				if err := stream.Send(&weirv1.ImportResponse{Part: &weirv1.ImportResponse_Offer{Offer: &weirv1.ImportOffer{Have: true}}}); err != nil {
					return err
				}
				return stream.Send(resultOf(res, false))
			}
		}
		release, err := s.alone(ctx, h.ContentHash)
		if err != nil {
			return err
		}
		defer release()
	}
	if req.Path, err = s.spool(stream, h); err != nil {
		return err
	}
	res, err := s.Importer.Import(ctx, req, func(p ingest.ImportProgress) { _ = stream.Send(progressOf(p, "")) })
	// What arrived whole need not come again after a stop or a fault of a store.
	if k := feature.KindOf(err); err == nil || h.ContentHash == "" || ctx.Err() == nil && k != feature.Unavailable && k != feature.Exhausted {
		os.Remove(req.Path)
	}
	if err != nil {
		return err
	}
	return stream.Send(resultOf(res, req.DryRun))
}

// ImportFrom takes files in that the server reads itself.
func (s *Ingest) ImportFrom(r *weirv1.ImportFromRequest, stream weirv1.IngestService_ImportFromServer) error {
	if s.Importer == nil {
		return errNoIngest
	}
	one, err := importRequest(r.Project, r.View, r.Location, r.Format, r.Options)
	if err != nil {
		return err
	}
	one.DryRun = r.DryRun
	ctx := stream.Context()
	cat, err := s.Registry.Current(ctx)
	if err != nil {
		return err
	}
	if _, err := cat.View(one.Project, one.View); err != nil {
		return err
	}
	place, err := s.Place(ctx, r.Location)
	if err != nil {
		return err
	}
	return s.Importer.ImportFrom(ctx, ingest.FromRequest{ImportRequest: one, Location: r.Location, Place: place, Spool: s.Spool,
		Selection: ingest.Selection{Glob: r.Glob, Any: one.Format != "", DoneSuffix: r.DoneSuffix},
		Watch:     r.Watch, Interval: time.Duration(r.IntervalMs) * time.Millisecond,
	}, func(e ingest.FromEvent) {
		var m *weirv1.ImportResponse
		switch {
		case e.Err != nil:
			m = &weirv1.ImportResponse{Part: &weirv1.ImportResponse_Fault{Fault: &weirv1.ImportFault{Message: e.Err.Error(), Kind: feature.KindOf(e.Err).String()}}}
		case e.Result != nil:
			m = resultOf(*e.Result, r.DryRun)
		default:
			m = progressOf(*e.Progress, e.File)
		}
		m.File, m.Files = e.File, e.Files
		_ = stream.Send(m)
	})
}

func importRequest(p, view, name, format string, options map[string]string) (req ingest.ImportRequest, err error) {
	req = ingest.ImportRequest{Project: project(p), View: view, Name: name}
	if format != "" {
		if req.Format, err = tabular.ParseFormat(format); err != nil {
			return req, feature.Errorf(feature.Invalid, "ingest.import", name, "%w", err)
		}
	}
	for k, v := range options {
		if k != "null_values" {
			return req, feature.Errorf(feature.Unsupported, "ingest.import", name, "unknown option %q", k).WithHint("the option there is: null_values")
		}
		req.NullValues = strings.Split(v, ",")
	}
	return req, nil
}

func progressOf(p ingest.ImportProgress, file string) *weirv1.ImportResponse {
	return &weirv1.ImportResponse{Part: &weirv1.ImportResponse_Progress{Progress: &weirv1.ImportProgress{
		Bytes: p.Bytes, BytesTotal: p.TotalBytes, Rows: p.Rows, Quarantined: p.Quarantined, File: file}}}
}

func resultOf(res ingest.ImportResult, dry bool) *weirv1.ImportResponse {
	return &weirv1.ImportResponse{Part: &weirv1.ImportResponse_Result{Result: &weirv1.ImportResult{
		Rows: res.Rows - res.Skipped - res.Quarantined, Quarantined: res.Quarantined, FileHash: res.ID, AlreadyImported: res.Skipped > 0 && res.Skipped == res.Rows,
		StartedAt: res.Started, Rules: ruleCounts(res.Rules), DryRun: dry}}}
}

// SweepSpool removes files that nobody came back for. Another process may use the
// folder; a file that nobody has written for a day is nobody's.
func SweepSpool(dir string) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return // it is made with the first import
	}
	for _, f := range files {
		if st, err := f.Info(); err == nil && strings.HasPrefix(f.Name(), ingest.SpoolPrefix) && time.Since(st.ModTime()) > 24*time.Hour {
			_ = os.Remove(filepath.Join(dir, f.Name()))
		}
	}
}

// alone waits until no other call receives the same content.
func (s *Ingest) alone(ctx context.Context, hash string) (release func(), err error) {
	mine := make(chan struct{})
	for {
		other, taken := s.uploads.LoadOrStore(hash, mine)
		if !taken {
			return func() { s.uploads.Delete(hash); close(mine) }, nil
		}
		select {
		case <-other.(chan struct{}):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// spool writes the file's content to disk. Content that was announced by its hash
// goes on where an earlier call broke off, and stays for a later one.
func (s *Ingest) spool(stream weirv1.IngestService_ImportServer, h *weirv1.ImportHeader) (path string, err error) {
	if err := os.MkdirAll(s.Spool, 0o755); err != nil {
		return "", feature.Errorf(feature.Internal, "ingest.import", s.Spool, "%w", err)
	}
	f, got, err := s.spoolFile(h)
	if err != nil {
		return "", feature.Errorf(feature.Internal, "ingest.import", s.Spool, "%w", err)
	}
	keep := h.ContentHash != ""
	defer func() {
		if cerr := f.Close(); err == nil && cerr != nil {
			err = feature.Errorf(feature.Exhausted, "ingest.import", s.Spool, "%w", cerr)
		}
		if err != nil && !keep {
			os.Remove(f.Name())
		}
	}()
	if keep {
		if err := stream.Send(&weirv1.ImportResponse{Part: &weirv1.ImportResponse_Offer{Offer: &weirv1.ImportOffer{From: got}}}); err != nil {
			return "", err
		}
	}
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			if (h.Size > 0 || keep) && got != h.Size {
				return "", feature.Errorf(feature.Invalid, "ingest.import", h.FileName, "%d bytes arrived of a file of %d: it was written to meanwhile, or the call broke off", got, h.Size).WithHint("import it again")
			}
			return f.Name(), nil
		}
		if err != nil {
			return "", err
		}
		got += int64(len(m.GetData()))
		if _, err := f.Write(m.GetData()); err != nil {
			keep = false // a full disk
			return "", feature.Errorf(feature.Exhausted, "ingest.import", s.Spool, "%w", err)
		}
	}
}

// spoolFile opens the file that takes the content, and says how much of it is there.
func (s *Ingest) spoolFile(h *weirv1.ImportHeader) (*os.File, int64, error) {
	end := ingest.SpoolSuffix(h.FileName)
	if h.ContentHash == "" {
		f, err := os.CreateTemp(s.Spool, ingest.SpoolPrefix+"*"+end)
		return f, 0, err
	}
	f, err := os.OpenFile(filepath.Join(s.Spool, ingest.SpoolPrefix+strings.ToLower(h.ContentHash)+end), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, 0, err
	}
	at, err := f.Seek(0, io.SeekEnd)
	if err == nil && at > h.Size {
		if err = f.Truncate(0); err == nil {
			at, err = f.Seek(0, io.SeekStart)
		}
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, at, nil
}
