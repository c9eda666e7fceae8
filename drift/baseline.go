package drift

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"

	"github.com/cespare/xxhash/v2"

	"github.com/weir-ml/weir/drift/stats"
	"github.com/weir-ml/weir/internal/wire"
	"github.com/weir-ml/weir/registry/feature"
)

// Baseline is what windows are compared with: the reference's profile, and what chance
// makes of windows that have not drifted from it. For one goroutine at a time.
//
// How large an effect chance makes depends on the number of values, so it is found for the window's: by
// samples drawn from the reference's own distribution (their seed belongs to the feature, so the
// same window always gets the same verdict), and by the reference's own chunks where there are
// some, because values of one hour are seldom independent draws from a month.
type Baseline struct {
	profile *Profile
	spread  map[string]spread  // by name and check
	noise   map[string]float64 // of samples, by what was asked
	// chunked are chunks that were not looked at yet, and looked the features of which they were: a baseline that
	// is used once is asked about few features.
	chunked []*Profile
	looked  map[string]bool
}

// spread is what the chunks of a reference show of one check.
type spread struct {
	Limit float64 `json:"limit"` // mean and three standard deviations of the effect
	Count int64   `json:"count"` // values of a chunk, the median
}

const (
	mostChunks  = 32  // of a reference; more of them tell little more
	fewChunks   = 8   // fewer say nothing about their spread
	samples     = 100 // drawn from the reference
	mostDrawn   = 512 // values each; of more, the effect is scaled as theory has it
	chunkValues = 50  // that a chunk must have to count
)

// NewBaseline makes one of a reference's profile and those of its chunks, which may be none.
func NewBaseline(p *Profile, chunks ...*Profile) *Baseline {
	b := &Baseline{profile: p, noise: map[string]float64{}}
	if len(chunks) < fewChunks {
		return b
	}
	for _, f := range p.Features {
		b.chunks(f, chunks)
	}
	return b
}

// newCalibrated makes one of a reference that is used for few windows.
func newCalibrated(p *Profile, chunks []*Profile) *Baseline {
	b := &Baseline{profile: p, noise: map[string]float64{}}
	if len(chunks) >= fewChunks {
		b.chunked, b.looked = chunks, map[string]bool{}
	}
	return b
}

// chunks finds how far chunks of a feature lie from all of it.
func (b *Baseline) chunks(f Named, chunks []*Profile) {
	found := map[string][]float64{}
	var counts []int64
	every := func(string) bool { return true }
	for _, c := range chunks {
		s := c.Sketch(f.Name)
		if s == nil || s.Shape != f.Shape || s.Rows() < chunkValues {
			continue
		}
		counts = append(counts, s.Rows())
		// The chunk is a part of the whole: from the rest it differs by more than from the whole.
		rest := 1 - min(0.5, float64(s.Rows())/float64(max(1, f.Rows())))
		var r Result
		for _, x := range measure(every, effects{}, chunkValues, f.Sketch, s, &r) {
			found[x.Name+x.Effect] = append(found[x.Name+x.Effect], x.Value/rest)
		}
		if r.PSI != nil {
			k := feature.TestDistribution + effectPSI
			found[k] = append(found[k], *r.PSI/rest/rest)
		}
		if r.LInf != nil {
			k := feature.TestDistribution + effectLInf
			found[k] = append(found[k], *r.LInf/rest)
		}
	}
	if len(counts) < fewChunks {
		return
	}
	slices.Sort(counts)
	for k, v := range found {
		// A check that said nothing of some chunks has no effect there.
		for len(v) < len(counts) {
			v = append(v, 0)
		}
		if b.spread == nil {
			b.spread = map[string]spread{}
		}
		b.spread[f.Name+"\x00"+k] = spread{Limit: clamp(upper(v)), Count: counts[len(counts)/2]}
	}
}

// upper is the mean and three standard deviations.
func upper(v []float64) float64 {
	mean, sum := 0.0, 0.0
	for _, x := range v {
		mean += x / float64(len(v))
	}
	for _, x := range v {
		sum += (x - mean) * (x - mean)
	}
	return mean + 3*math.Sqrt(sum/float64(len(v)))
}

// limit is how large the effect of a check becomes by chance in a window of n values.
func (b *Baseline) limit(name string, base *Sketch, c *Check, n int64) float64 {
	if len(b.chunked) > 0 && !b.looked[name] {
		b.looked[name] = true
		b.chunks(Named{name, base}, b.chunked)
	}
	by := b.chance(name, base, c, n)
	if s, ok := b.spread[name+"\x00"+c.Name+c.Effect]; ok {
		// Windows that are smaller than the chunks have more noise than they.
		by = max(by, s.Limit+max(0, by-b.chance(name, base, c, s.Count)))
	}
	return by
}

// chance is the limit of samples of n values.
func (b *Baseline) chance(name string, base *Sketch, c *Check, n int64) float64 {
	ref := float64(max(1, base.Count))
	if c.Effect == effectH { // its deviation is the same for all shares
		return 3 * math.Sqrt(1/float64(max(1, n))+1/float64(max(1, base.Rows())))
	}
	size := int64(1)
	for size*2 <= n {
		size *= 2
	}
	key := name + "\x00" + c.Effect + "\x00" + strconv.FormatInt(size, 10)
	if by, ok := b.noise[key]; ok {
		return by
	}
	values := min(size, mostDrawn)
	more := float64(size) / ref // the reference is a sample itself
	by := upper(drawn(name, base, c.Effect, int(values)))
	if c.Effect == effectPSI {
		by *= float64(values) / float64(size) * (1 + more)
	} else {
		by *= math.Sqrt(float64(values) / float64(size) * (1 + more))
	}
	by = clamp(by) // effects of values near the end of the range overflow
	b.noise[key] = by
	return by
}

// drawn gives the effects of samples of n values each.
func drawn(name string, base *Sketch, effect string, n int) []float64 {
	r := rand.New(rand.NewPCG(xxhash.Sum64String(name), uint64(n)))
	ranks, out := make([]float64, n), make([]float64, samples)
	var shares []float64
	var ref stats.Sample
	switch effect {
	case effectDistance:
		ref = base.sample()
	case effectPSI:
		d := base.num.distribution()
		shares = d.shares(quantileBins(d))
	default:
		counts, _ := cells(base, base)
		shares = stats.Shares(counts)
	}
	for i := range out {
		// Uniform ranks in order: sums of exponential steps.
		sum := 0.0
		for k := range ranks {
			sum += r.ExpFloat64()
			ranks[k] = sum
		}
		sum += r.ExpFloat64()
		for k := range ranks {
			ranks[k] /= sum
		}
		switch effect {
		case effectDistance:
			values, at, all := make([]float64, n), 0, ref.N()
			for k, rank := range ranks {
				for at < len(ref.At)-1 && ref.Cum[at] < rank*all {
					at++
				}
				values[k] = ref.At[at]
			}
			out[i] = moved(ref, stats.Merge(ref, stats.Sample{At: values}))
		default:
			counts, at, below := make([]float64, len(shares)), 0, 0.0
			for _, rank := range ranks {
				for at < len(shares)-1 && below+shares[at] < rank {
					below += shares[at]
					at++
				}
				counts[at] += 1 / float64(n)
			}
			switch effect {
			case effectPSI:
				out[i] = stats.PSI(shares, counts)
			case effectLInf:
				out[i] = stats.LInf(shares, counts)
			default:
				out[i] = stats.JensenShannon(shares, counts)
			}
		}
	}
	return out
}

// baselineFormat is the first byte of an encoded baseline. One that was stored before there were
// chunks is a profile, whose first byte is another.
const baselineFormat = 2

// MarshalBinary encodes the baseline: a format byte, the spread of its chunks, the profile.
func (b *Baseline) MarshalBinary() ([]byte, error) {
	spread, err := json.Marshal(b.spread)
	if err != nil {
		return nil, feature.Errorf(feature.Internal, "drift.encode", "baseline", "%w", err)
	}
	p, err := b.profile.MarshalBinary()
	if err != nil {
		return nil, err
	}
	return wire.Text(wire.Text([]byte{baselineFormat}, spread), p), nil
}

// DecodeBaseline makes a baseline of what MarshalBinary gave, or of a profile.
func DecodeBaseline(b []byte) (*Baseline, error) {
	if len(b) == 0 || b[0] != baselineFormat {
		p, err := DecodeProfile(b)
		if err != nil {
			return nil, err
		}
		return NewBaseline(p), nil
	}
	r := wire.Read(b[1:])
	of, body := r.Bytes(), r.Bytes()
	out := &Baseline{noise: map[string]float64{}}
	err := r.Done()
	if err == nil {
		err = json.Unmarshal(of, &out.spread)
	}
	if err != nil {
		return nil, feature.Errorf(feature.Internal, "drift.decode", "baseline", "%w", err)
	}
	out.profile, err = DecodeProfile(body)
	return out, err
}
