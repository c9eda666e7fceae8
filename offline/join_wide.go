package offline

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/weir-ml/weir/registry/feature"
)

// Nobody knows how long the texts are that a join will fetch. A chunk is made for
// texts of the length met so far; where its own turn out longer, so that it would
// take a quarter more than it may, it is given up, cut in parts that fit, and joined again.
type textLengths struct {
	columns int64        // of text or arrays, in the service
	each    int64        // bytes that a value is taken for
	limit   int64        // bytes of this chunk's texts; 0 is none
	bytes   atomic.Int64 // of the texts fetched for this chunk
	values  atomic.Int64
}

// firstText is what a text is taken for before one is seen.
const firstText = 32

var errTextsTooLong = errors.New("the texts of a part of the spine take more memory than a join may")

func newTextLengths(s *feature.Service) *textLengths {
	t := &textLengths{each: firstText}
	for _, c := range s.Columns {
		if s.Views[c.View].Features[c.Feature].Type.Variable() {
			t.columns++
		}
	}
	return t
}

// took counts texts that were fetched to so many places of dst, which share copies of so many bytes.
func (t *textLengths) took(dst *feature.Vector, places int, n int64) error {
	if t == nil || !dst.Type.Variable() {
		return nil
	}
	t.values.Add(int64(places))
	if sum := t.bytes.Add(n); t.limit > 0 && sum > t.limit {
		return errTextsTooLong
	}
	return nil
}

// part joins a chunk, in several where its texts are longer than it was made for.
func (j *joiner) part(ctx context.Context, c *spineChunk, sink func(arrow.RecordBatch) error) error {
	t := j.texts
	t.bytes.Store(0)
	t.values.Store(0)
	if t.limit = 0; c.rows > 1 {
		t.limit = t.columns*t.each*int64(c.rows) + j.memory/4
	}
	err := j.chunk(ctx, c, sink)
	if !errors.Is(err, errTextsTooLong) {
		return err
	}
	if n := t.values.Load(); n > 0 {
		t.each = max(2*t.each, t.bytes.Load()/n)
	}
	need := int64(c.rows) * j.rowBytes()
	parts := c.split(int(min(int64(c.rows), max(2, need/max(1, j.memory)+1))))
	defer func() {
		for _, p := range parts {
			p.release()
		}
	}()
	for _, p := range parts {
		if err := j.part(ctx, p, sink); err != nil {
			return err
		}
		p.release()
	}
	return nil
}
