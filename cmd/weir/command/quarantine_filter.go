package command

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry/feature"
)

// quarantineFilter is what chooses events on the command line.
type quarantineFilter struct {
	view         string
	rules        []string
	since, until string
	partitions   []int32
}

func (f *quarantineFilter) flags(c *cobra.Command) {
	c.Flags().StringVar(&f.view, "view", "", "feature view")
	c.Flags().StringArrayVar(&f.rules, "rule", nil, "only events that failed this rule, like max_future or schema.maximum(age); may be repeated")
	c.Flags().StringVar(&f.since, "since", "", "only events of this time or later: 2026-01-31T12:00:00Z, 2026-01-31, or 2h or 7d ago")
	c.Flags().StringVar(&f.until, "until", "", "only events before this time")
	c.Flags().Int32SliceVar(&f.partitions, "partition", nil, "only events of this partition of the source (-1: imports); may be repeated")
}

// of makes the request's filter. Arguments are events: [TOPIC/]PARTITION/OFFSET.
func (f *quarantineFilter) of(args []string) (*weirv1.QuarantineFilter, error) {
	if f.view == "" {
		return nil, fmt.Errorf("give --view")
	}
	return f.some(args)
}

// some is of, where all views may be meant.
func (f *quarantineFilter) some(args []string) (*weirv1.QuarantineFilter, error) {
	out := &weirv1.QuarantineFilter{Rules: f.rules, Partitions: f.partitions}
	var err error
	if out.Since, err = moment("--since", f.since); err != nil {
		return nil, err
	}
	if out.Until, err = moment("--until", f.until); err != nil {
		return nil, err
	}
	for _, a := range args {
		at, err := parseEvent(a)
		if err != nil {
			return nil, err
		}
		out.Events = append(out.Events, at)
	}
	return out, nil
}

// parseEvent reads the coordinates of an event. A topic may have slashes, as that of a file has.
func parseEvent(s string) (*weirv1.QuarantineEvent, error) {
	parts := strings.Split(s, "/")
	if n := len(parts); n >= 2 {
		p, err1 := strconv.ParseInt(parts[n-2], 10, 32)
		o, err2 := strconv.ParseInt(parts[n-1], 10, 64)
		if err1 == nil && err2 == nil {
			return &weirv1.QuarantineEvent{Topic: strings.Join(parts[:n-2], "/"), Partition: int32(p), Offset: o}, nil
		}
	}
	return nil, fmt.Errorf("%s: write an event as PARTITION/OFFSET, like 0/1234", s)
}

// moment reads a time, or how long ago it was, into microseconds UTC; 0 for none.
func moment(flag, s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UnixMicro(), nil
		}
	}
	if d, err := feature.ParseDuration(s); err == nil && d >= 0 {
		return time.Now().Add(-time.Duration(d)).UnixMicro(), nil
	}
	return 0, fmt.Errorf("%s %s: write a time like 2026-01-31T12:00:00Z or 2026-01-31 (UTC), or how long ago, like 2h or 7d", flag, s)
}
