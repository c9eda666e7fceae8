package command

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry/feature"
)

type jsonReason struct {
	Rule     string `json:"rule"`
	Path     string `json:"path"`
	Value    string `json:"value"`
	Expected string `json:"expected"`
	Severity string `json:"severity"`
}

type jsonEntry struct {
	View      string       `json:"view"`
	Topic     string       `json:"topic"`
	TopicID   string       `json:"topic_id"`
	Partition int32        `json:"partition"`
	Offset    int64        `json:"offset"`
	Time      string       `json:"time"`
	Revision  int64        `json:"revision"`
	Reasons   []jsonReason `json:"reasons"`
	Payload   string       `json:"payload"`
	State     string       `json:"state"`
	Omitted   bool         `json:"payload_omitted"` // too large to keep, or discarded
	Masked    bool         `json:"masked"`          // the view masks values: the payload is there only with --payload
	Size      int64        `json:"payload_size"`
	Discarded *jsonDiscard `json:"discarded,omitempty"`
}

type jsonDiscard struct {
	At     string `json:"at"`
	By     string `json:"by"`
	Reason string `json:"reason"`
}

func entryJSON(q *weirv1.QuarantineEntry) jsonEntry {
	j := jsonEntry{View: q.View, Topic: q.Topic, TopicID: hex.EncodeToString(q.TopicId), Partition: q.Partition, Offset: q.Offset,
		Time: when(q.RecordTime), Revision: q.Revision, Payload: printable(q.Payload), State: q.State, Omitted: q.PayloadOmitted, Masked: q.Masked, Size: q.PayloadSize}
	if d := q.Discarded; d != nil {
		j.Discarded = &jsonDiscard{when(d.At), d.By, d.Reason}
	}
	j.Reasons = []jsonReason{}
	for _, r := range q.Reasons {
		j.Reasons = append(j.Reasons, jsonReason{r.Rule, r.Path, r.Value, r.Expected, r.Severity})
	}
	return j
}

type jsonGroup struct {
	View     string      `json:"view"`
	Rule     string      `json:"rule"`
	Path     string      `json:"path"`
	Others   bool        `json:"others,omitempty"` // the paths beyond those that are told apart
	Count    int64       `json:"count"`
	First    string      `json:"first_seen"`
	Last     string      `json:"last_seen"`
	Example  jsonExample `json:"example"` // the newest
	Severity string      `json:"severity"`
}

type jsonExample struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Value     string `json:"value"`
	Expected  string `json:"expected"`
}

func (e *env) showQuarantine(r *weirv1.ListQuarantineResponse, by string, views, withPayload bool) error {
	if e.output == "json" {
		out := struct {
			Total   int64            `json:"total"`
			Rules   map[string]int64 `json:"rules"`
			States  map[string]int64 `json:"states"`
			Groups  []jsonGroup      `json:"groups"`
			Entries []jsonEntry      `json:"entries"`
		}{r.Total, map[string]int64{}, map[string]int64{}, []jsonGroup{}, []jsonEntry{}}
		for state, n := range r.States {
			out.States[state] = n
		}
		for _, x := range r.Rules {
			out.Rules[x.Rule] = x.Rows
		}
		for _, g := range r.Groups {
			out.Groups = append(out.Groups, jsonGroup{g.View, g.Rule, g.Path, g.Others, g.Count, when(g.FirstSeen), when(g.LastSeen),
				jsonExample{g.Topic, g.Partition, g.Offset, g.Example.GetValue(), g.Example.GetExpected()}, g.Example.GetSeverity()})
		}
		for _, q := range r.Entries {
			out.Entries = append(out.Entries, entryJSON(q))
		}
		return printJSON(e.out, out)
	}
	if by != "none" {
		e.showGroups(r, by, views)
		fmt.Fprintln(e.out)
	}
	if len(r.Entries) > 0 {
		head := []any{"event", "time", "why", "payload", "state"}
		if views {
			head = append([]any{"view"}, head...)
		}
		t := newTable(e.out, head...)
		masked := false
		for _, q := range r.Entries {
			row := []any{eventText(q), when(q.RecordTime), reasons(q.Reasons), short(payload(q, withPayload), 60), q.State}
			if views {
				row = append([]any{q.View}, row...)
			}
			t.AppendRow(row)
			masked = masked || q.Masked
		}
		t.Render()
		e.noteMask(masked, withPayload)
	}
	if n := r.States["discarded"] + r.States["replayed"] + r.States["taken"]; n > 0 {
		fmt.Fprintf(e.out, "\nof all that were ever held back: %s held, %s replayed, %s discarded, %s in the table after a rollback\n",
			count(r.States["held"]), count(r.States["replayed"]), count(r.States["discarded"]), count(r.States["taken"]))
	}
	return nil
}

// showGroups prints what events have in common.
func (e *env) showGroups(r *weirv1.ListQuarantineResponse, by string, views bool) {
	var head []any
	if views {
		head = append(head, "view")
	}
	switch by {
	case "":
		head = append(head, "rule")
	default:
		head = append(head, by)
	}
	t := newTable(e.out, append(head, "events", "first", "last", "newest", "got", "wants")...)
	for _, g := range r.Groups {
		name := g.Rule
		switch {
		case by == "path":
			name = cmp.Or(g.Path, "(the event)")
		case by == "" && g.Path != "":
			name += "(" + g.Path + ")"
		}
		if g.Others {
			name = strings.TrimSpace(g.Rule + " (further paths)")
		}
		row := []any{name, count(g.Count), clock(g.FirstSeen), clock(g.LastSeen), eventText(&weirv1.QuarantineEntry{Topic: g.Topic, Partition: g.Partition, Offset: g.Offset}),
			short(g.Example.GetValue(), 30), short(g.Example.GetExpected(), 50)}
		if views {
			row = append([]any{g.View}, row...)
		}
		t.AppendRow(row)
	}
	foot := []any{"events", count(r.Total)}
	if views {
		foot = append([]any{""}, foot...)
	}
	t.AppendFooter(foot)
	t.Render()
}

// clock is a time to the second.
func clock(micros int64) string {
	if micros == 0 {
		return "-"
	}
	return feature.Time(micros).Format("2006-01-02T15:04:05Z07:00")
}

// noteMask says what is not shown, or what is shown all the same.
func (e *env) noteMask(masked, shown bool) {
	switch {
	case masked && shown:
		fmt.Fprintln(e.out, "\nNOTE: the payloads and keys above are as they came, with the values that the view masks (quality.mask).")
	case masked:
		fmt.Fprintln(e.out, "\nThe view masks values (quality.mask): its payloads and keys are shown only with --payload.")
	}
}

// eventText is an event as parseEvent reads it. Rows of files share partition -1, so they need the file.
func eventText(q *weirv1.QuarantineEntry) string {
	if q.Partition >= 0 {
		return fmt.Sprintf("%d/%d", q.Partition, q.Offset)
	}
	return fmt.Sprintf("%s/%d/%d", q.Topic, q.Partition, q.Offset)
}
func (e *env) showEntry(q *weirv1.QuarantineEntry, withPayload bool) error {
	if e.output == "json" {
		return printJSON(e.out, entryJSON(q))
	}
	t := newTable(e.out)
	t.AppendRow([]any{"view", q.Project + "/" + q.View})
	t.AppendRow([]any{"from", fmt.Sprintf("%s partition %d offset %d", q.Topic, q.Partition, q.Offset)})
	t.AppendRow([]any{"record time", when(q.RecordTime)})
	t.AppendRow([]any{"judged by", fmt.Sprintf("catalog revision %d", q.Revision)})
	if key := printable(q.Key); q.Masked && !withPayload {
		t.AppendRow([]any{"record key", feature.Masked})
	} else {
		t.AppendRow([]any{"record key", key})
	}
	t.AppendRow([]any{"why", reasons(q.Reasons)})
	t.AppendRow([]any{"bytes", count(q.PayloadSize)})
	t.AppendRow([]any{"state", q.State})
	if d := q.Discarded; d != nil {
		t.AppendRow([]any{"discarded", when(d.At) + " by " + d.By + ": " + d.Reason})
	}
	t.Render()
	fmt.Fprintf(e.out, "\n%s\n", payload(q, withPayload))
	e.noteMask(q.Masked, withPayload)
	return nil
}

// payload is an event's, or why it is not there.
func payload(q *weirv1.QuarantineEntry, withPayload bool) string {
	switch {
	case q.Masked && !withPayload && q.Discarded == nil && !q.PayloadOmitted:
		return feature.Masked
	case q.Discarded != nil:
		return "(discarded)"
	case q.PayloadOmitted:
		return "(too large to keep; sha256 " + q.PayloadSha256 + ")"
	}
	return printable(q.Payload)
}

// printable shows bytes that may be anything.
func printable(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	return strconv.QuoteToASCII(string(b))
}
