package decode

import (
	"fmt"
	"time"

	"github.com/weir-ml/weir/internal/jsonscan"
	"github.com/weir-ml/weir/registry/feature"
)

// reject is the slow path: the event is read again and every reason against it
// is written down. Views with no reason of their own still get their row when
// the event as a whole is sound.
func (d *Decoder) reject(rec Record, most int) {
	if len(rec.Value) > most {
		d.rejectAll(rec, []feature.Reason{{
			Rule: feature.RuleTooLarge, Value: feature.Shorten(rec.Value),
			Expected: fmt.Sprintf("a payload of at most %d bytes, this one has %d", most, len(rec.Value)),
		}})
		return
	}
	if err := d.scan.Scan(&d.doc, rec.Value); err != nil {
		d.rejectAll(rec, []feature.Reason{{Rule: feature.RuleDecode, Value: feature.Shorten(rec.Value), Expected: "JSON: " + err.Error()}})
		return
	}
	var shared []feature.Reason
	if d.checker != nil && !d.checker.ValidDoc(&d.doc) {
		shared = d.checker.ExplainDoc(&d.doc)
	}
	if k := d.doc.Nodes[0].Kind; k != jsonscan.Object {
		shared = append(shared, feature.Reason{Rule: feature.RuleDecode, Value: feature.Shorten(rec.Value), Expected: "a JSON object, this is of type " + k.String()})
		d.rejectAll(rec, shared)
		return
	}
	clear(d.hits)
	d.paths.walk(&d.doc, 0, d.hits)
	event, known, faults := d.times(rec)
	shared = append(shared, faults...)
	for _, v := range d.views {
		reasons := append([]feature.Reason(nil), shared...)
		v.start()
		for i := range v.cols {
			c := &v.cols[i]
			if !c.put(&d.doc, d.hits[c.leaf], v.rows) {
				reasons = append(reasons, c.reason(&d.doc, d.hits[c.leaf]))
			}
		}
		if len(reasons) == 0 {
			v.finish(rec.Offset, event, known, false)
			continue
		}
		v.rejected = append(v.rejected, Rejected{Index: d.index, Offset: rec.Offset, Reasons: reasons})
	}
}

func (d *Decoder) rejectAll(rec Record, reasons []feature.Reason) {
	for _, v := range d.views {
		v.rejected = append(v.rejected, Rejected{Index: d.index, Offset: rec.Offset, Reasons: append([]feature.Reason(nil), reasons...)})
	}
}

// times reads both times as row does, and says what is wrong with them.
func (d *Decoder) times(rec Record) (event, known int64, faults []feature.Reason) {
	fault := func(rule string, r *timeReader) {
		f := feature.Reason{Rule: rule, Path: r.field, Expected: "a time in " + r.format + " between the years 1 and 9999"}
		if i := d.hits[r.leaf]; i != 0 {
			f.Value = feature.Shorten(d.doc.AppendText(nil, i))
		}
		faults = append(faults, f)
	}
	event, eventOK := d.event.read(&d.doc, d.hits[d.event.leaf])
	if !eventOK {
		fault(feature.RuleEventTime, &d.event)
	}
	known, knownOK, knownPath := rec.Timestamp, true, ""
	switch {
	case d.created.leaf >= 0:
		knownPath = d.created.field
		if known, knownOK = d.created.read(&d.doc, d.hits[d.created.leaf]); !knownOK {
			fault(feature.RuleCreated, &d.created)
		}
	case d.options.Import:
		known, knownOK, knownPath = event, eventOK, d.event.field
	case d.options.Known == 0 && !inRange(known):
		knownOK = false
		faults = append(faults, feature.Reason{Rule: feature.RuleCreated, Value: fmt.Sprint(known), Expected: "a record timestamp between the years 1 and 9999"})
	}
	if d.options.Known != 0 {
		known = d.options.Known
	}
	ahead := feature.Duration(time.Duration(d.future) * time.Microsecond)
	if eventOK && knownOK && event > known+d.future {
		faults = append(faults, feature.Reason{Rule: feature.RuleFuture, Path: d.event.field, Value: stamp(event),
			Expected: fmt.Sprintf("at most %s after the known time %s", ahead, stamp(known))})
	}
	if knownOK && d.options.Known == 0 && known > rec.Timestamp+d.future {
		what := "the record's timestamp"
		if d.options.Import {
			what = "the start of the import"
		}
		faults = append(faults, feature.Reason{Rule: feature.RuleFuture, Path: knownPath, Value: stamp(known),
			Expected: fmt.Sprintf("at most %s after %s %s", ahead, what, stamp(rec.Timestamp))})
	}
	return event, known, faults
}

func stamp(t int64) string { return feature.Time(t).Format(time.RFC3339Nano) }

// wants says for people what a value of a type looks like.
var wants = [...]string{
	feature.Bool:      "true or false",
	feature.Int32:     "a number without fraction between -2147483648 and 2147483647",
	feature.Int64:     "a number without fraction between -9223372036854775808 and 9223372036854775807",
	feature.Float32:   "a number within the range of 32-bit floats",
	feature.Float64:   "a number within the range of 64-bit floats",
	feature.String:    "text",
	feature.Bytes:     "text in base64 (standard alphabet, with padding)",
	feature.Timestamp: "a time in rfc3339 or a number of microseconds, between the years 1 and 9999",
}

// reason says why put refused the value at node i.
func (c *column) reason(d *jsonscan.Doc, i uint32) feature.Reason {
	path := c.field.EventPath()
	if i == 0 || d.Nodes[i].Kind == jsonscan.Null {
		return keyNull(c, path)
	}
	if c.typ.IsArray() {
		return c.arrayReason(d, i, path)
	}
	return feature.Reason{Rule: feature.RuleDecode, Path: path, Value: feature.Shorten(d.AppendText(nil, i)),
		Expected: fmt.Sprintf("%s: %s", c.typ, wants[c.typ])}
}

func keyNull(c *column, path string) feature.Reason {
	return feature.Reason{Rule: feature.RuleKeyNull, Path: path, Value: "null", Expected: fmt.Sprintf("the join key %s, which may not be null", c.field.Name)}
}
