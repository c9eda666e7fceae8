package sketch

// Moments are those of finite numbers, exact up to the rounding of float64. The zero
// value has seen none.
type Moments struct {
	N              int64
	Min, Max, Mean float64
	M2             float64 // the sum of squared distances from the mean
}

// MomentsOf are the moments of some values. Sums run four abreast, for an addition waits
// for the one before.
func MomentsOf(v []float64) Moments {
	if len(v) == 0 {
		return Moments{}
	}
	lo, hi := v[0], v[0]
	var s0, s1, s2, s3 float64
	fours := v[:len(v)&^3]
	for i := 0; i < len(fours); i += 4 {
		f := (*[4]float64)(fours[i:])
		for _, x := range f {
			if x < lo {
				lo = x
			}
			if x > hi {
				hi = x
			}
		}
		s0, s1, s2, s3 = s0+f[0], s1+f[1], s2+f[2], s3+f[3]
	}
	for _, x := range v[len(fours):] {
		lo, hi = min(lo, x), max(hi, x)
		s0 += x
	}
	mean := (s0 + s1 + s2 + s3) / float64(len(v))
	s0, s1, s2, s3 = 0, 0, 0, 0
	for i := 0; i < len(fours); i += 4 {
		f := (*[4]float64)(fours[i:])
		d0, d1, d2, d3 := f[0]-mean, f[1]-mean, f[2]-mean, f[3]-mean
		s0, s1, s2, s3 = s0+d0*d0, s1+d1*d1, s2+d2*d2, s3+d3*d3
	}
	for _, x := range v[len(fours):] {
		s0 += (x - mean) * (x - mean)
	}
	return Moments{N: int64(len(v)), Min: lo, Max: hi, Mean: mean, M2: s0 + s1 + s2 + s3}
}

// Merge adds what o has seen.
func (m *Moments) Merge(o Moments) {
	if o.N == 0 {
		return
	}
	if m.N == 0 {
		*m = o
		return
	}
	a, b := float64(m.N), float64(o.N)
	d := o.Mean - m.Mean
	m.Min, m.Max = min(m.Min, o.Min), max(m.Max, o.Max)
	m.Mean += d * b / (a + b)
	m.M2 += o.M2 + d*d*a*b/(a+b)
	m.N += o.N
}
