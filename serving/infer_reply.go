package serving

import (
	"encoding/binary"
	"slices"
	"strconv"
	"sync"
)

// inferReply is an answer as the bytes of an inference.ModelInferResponse. What is small, the fields before the tensors and the
// heads of those, is written beforehand; the elements are copied once.
type inferReply struct {
	inferAnswer
	from     *inferReplies
	req      *inferRequest
	sizes    []int // of each tensor's InferTensorContents; empty where the answer is raw
	prologue int   // bytes of json before the first tensor's head
	size     int
}

// inferSpan is where a tensor is.
type inferSpan struct {
	kind           datatype
	head, headEnd  int // in json
	elems, elemEnd int // in raw
}

// inferReplies keeps the memory of replies.
type inferReplies struct{ pool sync.Pool }

// of writes the answer to a request. It owns neither: of the answer nothing is needed afterwards, the request is freed with the reply.
func (p *inferReplies) of(r *inferRequest, a *Answer, most int) (*inferReply, error) {
	w, _ := p.pool.Get().(*inferReply)
	if w == nil {
		w = &inferReply{from: p}
	}
	w.inferAnswer = inferAnswer{json: w.json[:0], raw: w.raw[:0], spans: w.spans[:0], elems: w.elems, grpc: true, most: most}
	w.req, w.sizes = r, w.sizes[:0]
	typed := !r.binary
	for i := range r.wanted {
		r.wanted[i].binary = true // as elements are written here; what becomes of them is the whole answer's
	}
	_, room := r.sizes(a)
	w.raw = slices.Grow(w.raw, room)
	partial, err := partly(r, a)
	if err == nil {
		w.json = appendPart(w.json, 1<<3|lengthType, a.Service.Meta.Name)
		w.json = appendPart(w.json, 2<<3|lengthType, strconv.Itoa(a.Service.Version))
		w.json = appendPart(w.json, 3<<3|lengthType, r.id)
		w.json = appendIntParam(w.json, "catalog_revision", 2, a.Revision)
		flag := int64(0)
		if partial {
			flag = 1
		}
		w.json = appendIntParam(w.json, "partial", 1, flag)
		w.prologue = len(w.json)
		err = w.tensorsOf(r, a, partial)
	}
	if err != nil {
		w.req = nil
		w.Free()
		return nil, err
	}
	w.size = w.prologue
	for _, s := range w.spans {
		n := s.headEnd - s.head
		if typed {
			c := contentsSize(s.kind, w.raw[s.elems:s.elemEnd])
			w.sizes = append(w.sizes, c)
			n += optionalSize(c)
		} else {
			w.size += partSize(s.elemEnd - s.elems)
		}
		w.size += partSize(n)
	}
	return w, nil
}

// begin writes the head of an InferOutputTensor: name, datatype, shape.
func (w *inferAnswer) begin(name string, kind datatype, n, m int) {
	w.tensors++
	w.spans = append(w.spans, inferSpan{kind: kind, head: len(w.json), elems: len(w.raw)})
	w.json = appendPart(w.json, 1<<3|lengthType, name)
	w.json = appendPart(w.json, 2<<3|lengthType, kind.String())
	size := uvarintSize(uint64(n))
	if m >= 0 {
		size += uvarintSize(uint64(m))
	}
	w.json = binary.AppendUvarint(append(w.json, 3<<3|lengthType), uint64(size))
	w.json = binary.AppendUvarint(w.json, uint64(n))
	if m >= 0 {
		w.json = binary.AppendUvarint(w.json, uint64(m))
	}
}

// ended writes its parameters; its elements are in raw.
func (w *inferAnswer) ended(content string, nulls int) {
	if content != "" {
		const name = "content_type"
		value := partSize(len(content))
		w.json = append(w.json, 4<<3|lengthType)
		w.json = binary.AppendUvarint(w.json, uint64(partSize(len(name))+partSize(value)))
		w.json = appendPart(w.json, 1<<3|lengthType, name)
		w.json = binary.AppendUvarint(append(w.json, 2<<3|lengthType), uint64(value))
		w.json = appendPart(w.json, 3<<3|lengthType, content)
	}
	if nulls > 0 {
		w.json = appendIntParam(w.json, "nulls", 2, int64(nulls))
	}
	s := &w.spans[len(w.spans)-1]
	s.headEnd, s.elemEnd = len(w.json), len(w.raw)
}

// appendIntParam writes an entry of parameters, which are field 4 wherever they are; choice is 1 for a boolean and 2 for an int64.
func appendIntParam(dst []byte, name string, choice byte, x int64) []byte {
	value := 1 + uvarintSize(uint64(x))
	dst = binary.AppendUvarint(append(dst, 4<<3|lengthType), uint64(partSize(len(name))+partSize(value)))
	dst = appendPart(dst, 1<<3|lengthType, name)
	dst = binary.AppendUvarint(append(dst, 2<<3|lengthType), uint64(value))
	return binary.AppendUvarint(append(dst, choice<<3|varintType), uint64(x))
}

// Size is exact.
func (w *inferReply) Size() int { return w.size }

// AppendTo writes the message, its fields in the order of their numbers.
func (w *inferReply) AppendTo(dst []byte) []byte {
	dst = append(dst, w.json[:w.prologue]...)
	for i, s := range w.spans {
		elems := w.raw[s.elems:s.elemEnd]
		n := s.headEnd - s.head
		if len(w.sizes) > 0 {
			n += optionalSize(w.sizes[i])
		}
		dst = binary.AppendUvarint(append(dst, 5<<3|lengthType), uint64(n))
		dst = append(dst, w.json[s.head:s.headEnd]...)
		if len(w.sizes) > 0 && w.sizes[i] > 0 {
			dst = binary.AppendUvarint(append(dst, 5<<3|lengthType), uint64(w.sizes[i]))
			dst = appendContents(dst, s.kind, elems)
		}
	}
	if len(w.sizes) > 0 {
		return dst
	}
	for _, s := range w.spans {
		dst = binary.AppendUvarint(append(dst, 6<<3|lengthType), uint64(s.elemEnd-s.elems))
		dst = append(dst, w.raw[s.elems:s.elemEnd]...)
	}
	return dst
}

// Free gives the memory of the reply and of its request back.
func (w *inferReply) Free() {
	if w.req != nil {
		w.req.from.put(w.req)
		w.req = nil
	}
	if cap(w.raw) <= largestKept && cap(w.json) <= largestKept {
		w.from.pool.Put(w)
	}
}
