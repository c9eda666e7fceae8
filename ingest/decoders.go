package ingest

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/weir-ml/weir/ingest/decode"
	"github.com/weir-ml/weir/registry/feature"
)

// decoders are the decoders of lanes that decode alike. There are as many as
// batches are decoded at once and not one a partition: each keeps the memory of its
// last batch for the next one.
type decoders struct {
	source  *feature.Source
	views   []*feature.View
	options decode.Options

	mu   sync.Mutex
	idle []*decode.Decoder // guarded by mu
}

// get gives a decoder that has nothing in it.
func (d *decoders) get() (*decode.Decoder, error) {
	d.mu.Lock()
	if n := len(d.idle); n > 0 {
		dec := d.idle[n-1]
		d.idle = d.idle[:n-1]
		d.mu.Unlock()
		return dec, nil
	}
	d.mu.Unlock()
	return decode.New(d.source, d.views, d.options)
}

// put takes one back. One that panicked may be in any state and is not put back.
func (d *decoders) put(dec *decode.Decoder) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.idle = append(d.idle, dec)
}

// decodersFor finds the decoders of a lane, or makes them.
func (p *Pipeline) decodersFor(l *lane) (*decoders, error) {
	var key strings.Builder
	fmt.Fprintf(&key, "%p", l.source)
	for _, v := range l.views {
		fmt.Fprintf(&key, " %p", v)
	}
	p.mu.Lock()
	d := p.pools[key.String()]
	p.mu.Unlock()
	if d != nil {
		return d, nil
	}
	o := l.options
	var err error
	if o.Schema, err = p.schemas.of(l.source); err != nil {
		return nil, err
	}
	d = &decoders{source: l.source, views: l.views, options: o}
	dec, err := d.get() // a definition that cannot be decoded is known now
	if err != nil {
		return nil, err
	}
	d.put(dec)
	p.mu.Lock()
	defer p.mu.Unlock()
	if other := p.pools[key.String()]; other != nil {
		return other, nil
	}
	p.pools[key.String()] = d
	return d, nil
}

// mayDecode waits until fewer batches are decoded than there are cores: more
// would make none of them faster and each takes its memory.
func (p *Pipeline) mayDecode(ctx context.Context) (done func(), err error) {
	select {
	case p.decoding <- struct{}{}:
		return func() { <-p.decoding }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
