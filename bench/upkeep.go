package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
)

// upkeep is what one call of it took.
type upkeep struct{ n, seconds, cpu float64 }

func (u upkeep) line(what, unit, note string) Line {
	return Line{What: what, Value: u.n / u.cpu, Unit: unit + "/CPU-s", CPU: u.cpu / u.n, CPUUnit: unit[:len(unit)-1],
		Note: fmt.Sprintf("%s of them, %s/s by the clock, by the worker while it runs; %s", number(u.n), number(u.n/u.seconds), note)}
}

// audit audits the payments; a difference is an error here.
func (p *process) audit(ctx context.Context, events int) (upkeep, error) {
	began, from := time.Now(), p.usedCPU()
	stream, err := p.upkeep.Audit(ctx, &weirv1.AuditRequest{Project: "default", View: "payment"})
	var rep *weirv1.AuditReport
	for err == nil {
		var a *weirv1.AuditResponse
		if a, err = stream.Recv(); a.GetReport() != nil {
			rep = a.GetReport()
		}
	}
	u := upkeep{n: float64(events), seconds: time.Since(began).Seconds(), cpu: p.usedCPU() - from}
	if !errors.Is(err, io.EOF) {
		return u, err
	}
	var log, table int64
	for _, l := range rep.Lines {
		log, table = log+l.Log, table+l.Table
	}
	if rep.Found > 0 || len(rep.Notes) > 0 || log != int64(events) || table != int64(events) || rep.Online == nil {
		return u, fmt.Errorf("audit of %d events: %d in the log, %d in the table, %d differences %v, notes %v", events, log, table, rep.Found, rep.Differences, rep.Notes)
	}
	return u, nil
}

// materialize empties Redis and has it filled again from the table.
func (p *process) materialize(ctx context.Context, redis string) (upkeep, error) {
	if err := flushAll(ctx, redis); err != nil {
		return upkeep{}, err
	}
	began, from := time.Now(), p.usedCPU()
	stream, err := p.upkeep.Materialize(ctx, &weirv1.MaterializeRequest{Project: "default", View: "payment", Restart: true})
	var res *weirv1.MaterializeResult
	for err == nil {
		var m *weirv1.MaterializeResponse
		if m, err = stream.Recv(); m.GetResult() != nil {
			res = m.GetResult()
		}
	}
	u := upkeep{n: float64(res.GetRows()), seconds: time.Since(began).Seconds(), cpu: p.usedCPU() - from}
	if !errors.Is(err, io.EOF) {
		return u, err
	}
	if res.GetRows() == 0 {
		return u, errors.New("materialize wrote nothing")
	}
	return u, nil
}

// flushAll makes a Redis lose everything.
func flushAll(ctx context.Context, addr string) error {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := io.WriteString(c, "FLUSHALL\r\n"); err != nil {
		return err
	}
	answer := make([]byte, len("+OK\r\n"))
	if _, err := io.ReadFull(c, answer); err != nil || string(answer) != "+OK\r\n" {
		return fmt.Errorf("FLUSHALL: %q %w", answer, err)
	}
	return nil
}
