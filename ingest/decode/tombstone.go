package decode

import (
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/weir-ml/weir/internal/jsonscan"
	"github.com/weir-ml/weir/registry/feature"
)

// tombstone takes in an event without payload: its record key names the entity
// that goes, per view, because views of one source may have different join keys.
func (d *Decoder) tombstone(rec Record) {
	for _, v := range d.views {
		v.start()
		reasons := d.tombstoneKey(v, rec)
		if !inRange(rec.Timestamp) {
			reasons = append(reasons, feature.Reason{Rule: feature.RuleCreated, Value: fmt.Sprint(rec.Timestamp), Expected: "a record timestamp between the years 1 and 9999"})
		}
		if len(reasons) > 0 {
			v.rejected = append(v.rejected, Rejected{Index: d.index, Offset: rec.Offset, Reasons: reasons})
			continue
		}
		for i := v.keys; i < len(v.cols); i++ {
			v.cols[i].putNull(v.rows)
		}
		known := rec.Timestamp
		if d.options.Known != 0 {
			known = d.options.Known
		}
		v.finish(rec.Offset, rec.Timestamp, known, true)
	}
}

func (d *Decoder) tombstoneKey(v *viewColumns, rec Record) []feature.Reason {
	fault := func(path, format string, args ...any) feature.Reason {
		return feature.Reason{Rule: feature.RuleTombstone, Path: path, Value: feature.Shorten(rec.Key), Expected: fmt.Sprintf(format, args...)}
	}
	if rec.Key == nil {
		return []feature.Reason{fault("", "a record key: a record without payload deletes the entity that its key names")}
	}
	if v.keys == 1 {
		c := &v.cols[0]
		if !c.putText(rec.Key, v.rows) {
			return []feature.Reason{fault(c.field.Name, "a record key that is the join key %s as plain text, a %s", c.field.Name, c.typ)}
		}
		return nil
	}
	if d.keyScan == nil {
		d.keyScan = jsonscan.NewScanner(nil, jsonscan.Limits{})
	}
	if err := d.keyScan.Scan(&d.keyDoc, rec.Key); err != nil || d.keyDoc.Nodes[0].Kind != jsonscan.Object {
		return []feature.Reason{fault("", "a record key that is a JSON object with the view's %d join keys", v.keys)}
	}
	var reasons []feature.Reason
	for i := range v.cols[:v.keys] {
		c := &v.cols[i]
		if !c.put(&d.keyDoc, d.keyDoc.Find(0, c.field.Name), v.rows) {
			reasons = append(reasons, fault(c.field.Name, "a record key with the join key %s, a %s", c.field.Name, c.typ))
		}
	}
	return reasons
}

// putText writes a join key that is plain text.
func (c *column) putText(text []byte, row int) bool {
	c.valid[row>>3] |= 1 << (row & 7)
	switch c.typ {
	case feature.String:
		c.data = append(c.data, text...)
		c.off[row+1] = int32(len(c.data))
		return utf8.Valid(text)
	case feature.Bytes:
		return c.putBase64(row, text)
	case feature.Int64:
		v, err := strconv.ParseInt(string(text), 10, 64)
		c.i64[row] = v
		return err == nil
	case feature.Int32:
		v, err := strconv.ParseInt(string(text), 10, 32)
		c.i32[row] = int32(v)
		return err == nil
	case feature.Bool:
		c.putBool(row, string(text) == "true")
		return string(text) == "true" || string(text) == "false"
	case feature.Timestamp:
		v, ok := timestampText(text)
		if !ok {
			n, err := strconv.ParseInt(string(text), 10, 64)
			v, ok = n, err == nil && inRange(n)
		}
		c.i64[row] = v
		return ok
	}
	return false
}
