package serving

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"

	"github.com/weir-ml/weir/registry/feature"
)

// inferAnswer is an answer being written: JSON, and behind it the tensors that are wanted raw. Over gRPC all are raw, and what
// stands before each of them is in json as protobuf has it (infer_reply.go).
type inferAnswer struct {
	json, raw []byte
	grpc      bool
	spans     []inferSpan    // of gRPC's tensors
	elems     feature.Vector // of an array; memory that is used again
	tensors   int            // written so far
	most      int            // elements that may be written in the place of nulls; 0: any number
	fillers   int            // written so far
}

// sizes is about how long an answer will be, its JSON and its raw tensors: of texts, of which there is no telling, it may be more.
func (r *inferRequest) sizes(a *Answer) (text, raw int) {
	text = 1 << 10
	for _, t := range r.wanted {
		values := a.Rows
		if t.column < 0 {
			values *= len(a.Columns)
		}
		if t.binary {
			raw += 8 * values
			text += 1 << 7
		} else {
			text += 20 * values
		}
	}
	return text, raw
}

// write writes the inference response; or the request for a model, whose inputs the features are. A null, and a NaN, is null:
// MLServer writes NaN so, and numpy reads it so. An error is of the values; nothing is to be sent then.
func (w *inferAnswer) write(r *inferRequest, a *Answer) error {
	partial, err := partly(r, a)
	if err != nil {
		return err
	}
	w.json = append(w.json, '{')
	if !r.forward {
		w.json = appendText(append(w.json, `"model_name":`...), a.Service.Meta.Name)
		w.json = append(strconv.AppendInt(append(w.json, `,"model_version":"`...), int64(a.Service.Version), 10), '"', ',')
	}
	if r.hasID {
		w.json = append(appendText(append(w.json, `"id":`...), r.id), ',')
	}
	switch {
	case !r.forward:
		w.json = strconv.AppendInt(append(w.json, `"parameters":{"catalog_revision":`...), a.Revision, 10)
		w.json = append(strconv.AppendBool(append(w.json, `,"partial":`...), partial), `},"outputs":[`...)
	case len(r.wanted) > 1: // to MLServer a column each
		w.json = append(w.json, `"parameters":{"content_type":"pd"},"inputs":[`...)
	default:
		w.json = append(w.json, `"inputs":[`...)
	}
	if err := w.tensorsOf(r, a, partial); err != nil {
		return err
	}
	w.json = append(w.json, ']', '}', '\n')
	return nil
}

// partly reports whether the store did not answer for some of the rows.
func partly(r *inferRequest, a *Answer) (bool, error) {
	for i := range a.Views {
		if !failed(a.Views[i].Status) {
			continue
		}
		if r.forward { // a model would take it for a row that is not there
			return true, feature.Errorf(feature.Unavailable, "lookup", "view "+a.Views[i].View.Meta.Name, "the store did not answer for some of the rows").
				WithHint("ask again; an answer that is no request says which (include_statuses)")
		}
		return true, nil
	}
	return false, nil
}

func (w *inferAnswer) tensorsOf(r *inferRequest, a *Answer, partial bool) error {
	for _, t := range r.wanted {
		if err := w.tensor(r, a, t); err != nil {
			return err
		}
	}
	if r.validity {
		w.validities(r, a.Block)
	}
	if r.statuses || partial {
		w.statuses(a.Block)
	}
	if r.times {
		w.times(a.Block)
	}
	return nil
}

// head writes what stands before a tensor's parameters and data. n and m are its shape; m < 0: it has one dimension.
func (w *inferAnswer) head(name string, kind datatype, n, m int) {
	if w.grpc {
		w.begin(name, kind, n, m)
		return
	}
	w.json = comma(w.json, w.tensors)
	w.tensors++
	w.json = appendText(append(w.json, `{"name":`...), name)
	w.json = append(append(append(w.json, `,"datatype":"`...), kind.String()...), `","shape":[`...)
	w.json = strconv.AppendInt(w.json, int64(n), 10)
	if m >= 0 {
		w.json = strconv.AppendInt(append(w.json, ','), int64(m), 10)
	}
	w.json = append(w.json, ']')
}

// end ends a raw tensor: its bytes from here on.
func (w *inferAnswer) end(content string, nulls, from int) {
	if w.grpc {
		w.ended(content, nulls)
		return
	}
	w.tail(content, nulls, from)
	w.json = append(w.json, '}')
}

// tail writes the parameters, and of a raw tensor how long it is.
func (w *inferAnswer) tail(content string, nulls, from int) {
	sep := `,"parameters":{`
	if content != "" {
		w.json = appendText(append(append(w.json, sep...), `"content_type":`...), content)
		sep = ","
	}
	if nulls > 0 {
		w.json = strconv.AppendInt(append(append(w.json, sep...), `"nulls":`...), int64(nulls), 10)
		sep = ","
	}
	if from >= 0 {
		w.json = strconv.AppendInt(append(append(w.json, sep...), `"binary_data_size":`...), int64(len(w.raw)-from), 10)
		sep = ","
	}
	if sep == "," {
		w.json = append(w.json, '}')
	}
}

func (w *inferAnswer) tensor(r *inferRequest, a *Answer, t inferWanted) error {
	if t.column < 0 {
		w.matrix(r.matrix, a.Block, t)
		return nil
	}
	c := &a.Columns[t.column]
	width := -1
	if c.Type.IsArray() {
		var err error
		if width, err = w.width(c); err != nil {
			return err
		}
	}
	nulls := 0
	for _, ok := range c.Valid {
		if !ok {
			nulls++
		}
	}
	// A null is as many elements as an array that somebody stored: the answer would be larger than all that was looked up.
	if w.fillers += nulls * max(width, 0); w.most > 0 && w.fillers > w.most {
		return feature.Errorf(feature.Exhausted, "lookup", "feature "+c.Name, "%w", tooLarge(fmt.Sprintf("%d nulls beside arrays of %d elements make too large a tensor", nulls, width))).
			WithHint("split the call, raise serving.max_message, or look it up with /v1/lookup, where a null is one")
	}
	w.head(c.Name, t.kind, len(c.Valid), width)
	if !t.binary {
		w.tail(contentOf(c.Type), nulls, -1)
		w.json = append(w.json, `,"data":[`...)
		for i := range c.Valid {
			if width != 0 { // of empty arrays nothing is written, not a comma either
				w.json = w.cell(comma(w.json, i), &c.Vector, i, t.kind, width)
			}
		}
		w.json = append(w.json, ']', '}')
		return nil
	}
	if nulls > 0 && t.kind != fp64 && t.kind != fp32 && !r.validity {
		err := feature.Errorf(feature.Invalid, "lookup", "feature "+c.Name, "%d values are null, which a tensor of %s has no way to say", nulls, t.kind)
		if w.grpc {
			return err.WithHint("ask with include_validity, or for numbers with the datatype FP64, where null is NaN")
		}
		return err.WithHint(`ask for it as JSON, with "include_validity", or for numbers with "datatype": "FP64", where null is NaN`)
	}
	from := len(w.raw)
	for i := range c.Valid {
		w.rawCell(&c.Vector, i, t.kind, width)
	}
	content := ""
	if t.kind == dtBytes && contentOf(c.Type) == "str" {
		content = "str"
	}
	w.end(content, nulls, from)
	return nil
}

// contentOf tells MLServer how the elements of BYTES are to be read.
func contentOf(t feature.Type) string {
	if t.IsArray() {
		t = t.Elem()
	}
	switch t {
	case feature.String:
		return "str"
	case feature.Bytes:
		return "base64"
	}
	return ""
}

// width is how many elements each array of a column has; a tensor wants all to have the same.
func (w *inferAnswer) width(c *feature.BlockColumn) (int, error) {
	width := -1
	for i, packed := range c.Bytes {
		if !c.Valid[i] {
			continue
		}
		n, err := feature.Elements(c.Type, packed)
		if err != nil {
			return 0, err // the online store gives none such
		}
		if width >= 0 && n != width {
			return 0, feature.Errorf(feature.Invalid, "lookup", "feature "+c.Name, "arrays of %d and of %d elements do not make one tensor", width, n).
				WithHint("look it up with /v1/lookup, which has lists of any length, or one entity at a time")
		}
		width = n
	}
	return max(width, 0), nil
}

// cell writes one value: of an array its elements, of a null as many nulls.
func (w *inferAnswer) cell(dst []byte, v *feature.Vector, i int, kind datatype, width int) []byte {
	if width < 0 {
		return appendScalar(dst, v, i, kind)
	}
	if !v.Valid[i] || w.elems.Unpack(v.Type, v.Bytes[i]) != nil {
		for j := range width {
			dst = append(comma(dst, j), "null"...)
		}
		return dst
	}
	for j := range w.elems.Valid {
		dst = appendScalar(comma(dst, j), &w.elems, j, kind)
	}
	return dst
}

// appendScalar writes a value as an element of a tensor.
func appendScalar(dst []byte, v *feature.Vector, i int, kind datatype) []byte {
	if !v.Valid[i] {
		return append(dst, "null"...)
	}
	switch kind {
	case fp64, fp32:
		return appendReal(dst, v, i, kind)
	case dtBool:
		return strconv.AppendBool(dst, v.Bools[i])
	case int32s:
		return strconv.AppendInt(dst, int64(v.Int32s[i]), 10)
	case int64s:
		return strconv.AppendInt(dst, v.Int64s[i], 10)
	}
	if v.Type == feature.Bytes {
		return append(base64.StdEncoding.AppendEncode(append(dst, '"'), v.Bytes[i]), '"')
	}
	return appendText(dst, v.Bytes[i])
}

// appendReal writes a number as an element of FP64 or FP32: the shortest text that reads back as that. So a float32 has
// more digits in FP64 than in a lookup: all of the number that a model was trained on.
func appendReal(dst []byte, v *feature.Vector, i int, kind datatype) []byte {
	const exact = 1 << 24 // whole numbers up to here are floats of both widths
	switch v.Type {
	case feature.Int32:
		if x := v.Int32s[i]; -exact <= x && x <= exact {
			return strconv.AppendInt(dst, int64(x), 10)
		}
	case feature.Int64, feature.Timestamp:
		if x := v.Int64s[i]; -exact <= x && x <= exact {
			return strconv.AppendInt(dst, x, 10)
		}
	}
	x, size := realAt(v, i), 64
	if kind == fp32 {
		x, size = float64(float32(x)), 32
	}
	if math.IsNaN(x) {
		return append(dst, "null"...)
	}
	return appendNumber(dst, x, size)
}

// matrix writes all columns as one tensor, a row after the other.
func (w *inferAnswer) matrix(name string, b *feature.Block, t inferWanted) {
	w.head(name, t.kind, b.Rows, len(b.Columns))
	if !t.binary {
		w.json = append(w.json, `,"data":[`...)
		for i := range b.Rows {
			for j := range b.Columns {
				w.json = comma(w.json, i+j)
				if v := &b.Columns[j].Vector; v.Valid[i] {
					w.json = appendReal(w.json, v, i, t.kind)
				} else {
					w.json = append(w.json, "null"...)
				}
			}
		}
		w.json = append(w.json, ']', '}')
		return
	}
	from := len(w.raw)
	for i := range b.Rows {
		for j := range b.Columns {
			w.rawReal(&b.Columns[j].Vector, i, t.kind)
		}
	}
	w.end("", 0, from)
}

// rawReal writes a number; null is NaN.
func (w *inferAnswer) rawReal(v *feature.Vector, i int, kind datatype) {
	x := math.NaN()
	if v.Valid[i] {
		x = realAt(v, i)
	}
	if kind == fp32 {
		w.raw = binary.LittleEndian.AppendUint32(w.raw, math.Float32bits(float32(x)))
		return
	}
	w.raw = binary.LittleEndian.AppendUint64(w.raw, math.Float64bits(x))
}

// rawCell writes one value, of an array its elements.
func (w *inferAnswer) rawCell(v *feature.Vector, i int, kind datatype, width int) {
	if width < 0 {
		if v.Valid[i] {
			w.rawScalar(v, i, kind)
		} else {
			w.rawNull(kind)
		}
		return
	}
	if !v.Valid[i] || w.elems.Unpack(v.Type, v.Bytes[i]) != nil {
		for range width {
			w.rawNull(kind)
		}
		return
	}
	for j := range w.elems.Valid {
		w.rawScalar(&w.elems, j, kind)
	}
}

// rawNull writes what stands in the place of a null: NaN, or nothing that anybody should read.
func (w *inferAnswer) rawNull(kind datatype) {
	le := binary.LittleEndian
	switch kind {
	case fp64:
		w.raw = le.AppendUint64(w.raw, math.Float64bits(math.NaN()))
	case fp32:
		w.raw = le.AppendUint32(w.raw, math.Float32bits(float32(math.NaN())))
	case dtBool:
		w.raw = append(w.raw, 0)
	case int64s:
		w.raw = le.AppendUint64(w.raw, 0)
	default: // int32s, and the length of a text
		w.raw = le.AppendUint32(w.raw, 0)
	}
}

func (w *inferAnswer) rawScalar(v *feature.Vector, i int, kind datatype) {
	le := binary.LittleEndian
	switch kind {
	case fp64, fp32:
		w.rawReal(v, i, kind)
	case dtBool:
		w.raw = feature.AppendElementBool(w.raw, v.Bools[i])
	case int32s:
		w.raw = le.AppendUint32(w.raw, uint32(v.Int32s[i]))
	case int64s:
		w.raw = le.AppendUint64(w.raw, uint64(v.Int64s[i]))
	default:
		w.raw = append(le.AppendUint32(w.raw, uint32(len(v.Bytes[i]))), v.Bytes[i]...)
	}
}
