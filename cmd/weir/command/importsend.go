package command

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
)

func (f *importFlags) options() map[string]string {
	if len(f.nulls) == 0 {
		return nil
	}
	return map[string]string{"null_values": strings.Join(f.nulls, ",")}
}

// sendFile sends a file and waits for the result.
func (e *env) sendFile(ctx context.Context, c *client, f *importFlags, x localFile, b *importBar) importOutcome {
	o := importOutcome{File: x.path}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, err := e.exchange(ctx, c, f, x, b)
	if err != nil {
		o.err, o.Error = err, explain(c.explain(err))
		return o
	}
	o.take(r)
	return o
}

func (o *importOutcome) take(r *weirv1.ImportResult) {
	o.Rows, o.Quarantined, o.AlreadyImported, o.ID, o.DryRun = r.Rows, r.Quarantined, r.AlreadyImported, r.FileHash, r.DryRun
	o.Rules = map[string]int64{}
	for _, rule := range r.Rules {
		o.Rules[rule.Rule] = rule.Rows
	}
}

// exchange is the call for one file: the header with the content's hash, the
// server's offer, the bytes that it lacks, progress, the result.
func (e *env) exchange(ctx context.Context, c *client, f *importFlags, x localFile, b *importBar) (*weirv1.ImportResult, error) {
	file, err := os.Open(x.path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	hash, size, err := contentHash(ctx, file)
	if err != nil {
		return nil, err
	}
	stream, err := c.ingest.Import(ctx)
	if err != nil {
		return nil, err
	}
	h := &weirv1.ImportHeader{Project: c.project, View: f.view, Format: f.format, FileName: filepath.Base(x.path), Size: size,
		Options: f.options(), ContentHash: hash, DryRun: f.dryRun}
	if err := stream.Send(&weirv1.ImportRequest{Part: &weirv1.ImportRequest_Header{Header: h}}); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	m, err := stream.Recv()
	if err != nil {
		return nil, err
	}
	offer := m.GetOffer()
	if offer == nil {
		return nil, fmt.Errorf("the server is older than this weir: it made no offer")
	}
	if !offer.Have {
		if _, err := file.Seek(offer.From, io.SeekStart); err != nil {
			return nil, err
		}
		if err := send(stream, file, func(sent int64) { b.at(offer.From+sent, "sending %s", h.FileName) }); err != nil {
			return nil, err
		}
	}
	if err := stream.CloseSend(); err != nil {
		return nil, err
	}
	return last(stream, (*weirv1.ImportResponse).GetResult, func(m *weirv1.ImportResponse) {
		if p := m.GetProgress(); p != nil {
			b.at(size+min(p.Bytes, size), "%s: %s rows", h.FileName, count(p.Rows))
		}
	})
}

// contentHash is the SHA-256 of a file in hex, and its size.
func contentHash(ctx context.Context, f *os.File) (string, int64, error) {
	h := sha256.New()
	var size int64
	buf := make([]byte, 1<<20)
	for {
		n, err := f.Read(buf)
		h.Write(buf[:n])
		size += int64(n)
		if err == io.EOF {
			return hex.EncodeToString(h.Sum(nil)), size, nil
		}
		if err != nil {
			return "", size, err
		}
		if ctx.Err() != nil {
			return "", size, ctx.Err()
		}
	}
}

func send(stream weirv1.IngestService_ImportClient, r io.Reader, sent func(int64)) error {
	buf := make([]byte, 256<<10)
	var all int64
	for {
		n, err := r.Read(buf)
		if n > 0 {
			if err := stream.Send(&weirv1.ImportRequest{Part: &weirv1.ImportRequest_Data{Data: buf[:n]}}); err != nil {
				return nil // the server's reason comes from Recv
			}
			all += int64(n)
			sent(all)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
