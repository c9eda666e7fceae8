package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
)

// importFrom has the server bring in what it reads itself. Watching, each
// outcome is shown as it comes, and Ctrl-C is the usual end.
func (e *env) importFrom(ctx context.Context, c *client, f *importFlags, location string) ([]importOutcome, error) {
	stream, err := c.ingest.ImportFrom(ctx, &weirv1.ImportFromRequest{Project: c.project, View: f.view, Location: location, Glob: f.glob, Format: f.format,
		Options: f.options(), DryRun: f.dryRun, Watch: f.watch, IntervalMs: f.interval.Milliseconds(), DoneSuffix: f.doneSuffix})
	if err != nil {
		return nil, err
	}
	if f.watch && e.output != "json" {
		fmt.Fprintf(e.err, "watching %s every %s; Ctrl-C ends it\n", location, f.interval)
	}
	bar := e.bar(-1, location)
	var all []importOutcome
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			_ = bar.Finish()
			return all, nil
		}
		if f.watch && status.Code(err) == codes.Canceled && ctx.Err() != nil {
			_ = bar.Finish()
			return nil, nil
		}
		if err != nil {
			_ = bar.Finish()
			return all, err
		}
		if p := m.GetProgress(); p != nil {
			bar.Describe(fmt.Sprintf("file %d of %d, %s: %s rows, %d%%", len(all)+1, m.Files, m.File, count(p.Rows), 100*p.Bytes/max(1, p.BytesTotal)))
			_ = bar.Add(1)
			continue
		}
		o := importOutcome{File: m.File}
		if r := m.GetResult(); r != nil {
			o.take(r)
		} else {
			o.Error = m.GetFault().GetMessage()
			o.err = errors.New(o.Error)
		}
		all = append(all, o)
		if f.watch {
			e.showLanded(o)
			all = all[:0]
		}
	}
}

// showLanded shows what became of a file that was found by watching: one line each.
func (e *env) showLanded(o importOutcome) {
	if e.output == "json" {
		_ = json.NewEncoder(e.out).Encode(o)
		return
	}
	if o.err != nil {
		fmt.Fprintf(e.out, "%s: not imported: %s\n", o.File, o.Error)
		return
	}
	line := fmt.Sprintf("%s: %s rows, %s held back", o.File, count(o.Rows), count(o.Quarantined))
	if o.AlreadyImported {
		line = o.File + ": imported before; nothing changed"
	}
	if w := o.worst(); w != "" {
		line += " (" + w + ")"
	}
	fmt.Fprintln(e.out, line)
}
