package stats

import "math"

// KolmogorovTail is the chance that the one-sample Kolmogorov statistic of n values is
// x or more (scipy.stats.kstwo.sf). Which formula serves where is Simard and L'Ecuyer's choice ("Computing the
// Two-Sided Kolmogorov-Smirnov Distribution", 2011).
func KolmogorovTail(n int, x float64) float64 {
	if n < 1 || x <= 0 {
		return 1
	}
	if x >= 1 {
		return 0
	}
	f := float64(n)
	t := f * x
	switch {
	case t <= 0.5:
		return 1
	case t <= 1: // Ruben and Gambino
		lg, _ := math.Lgamma(f + 1)
		return clip(1 - math.Exp(lg+f*(math.Log(2*t-1)-math.Log(f))))
	case t >= f-1:
		return clip(2 * math.Pow(1-x, f))
	case x >= 0.5:
		return clip(2 * smirnov(n, x))
	}
	square := t * x
	if n <= 140 {
		if square <= 4 {
			return clip(1 - durbin(n, x))
		}
		return clip(2 * smirnov(n, x))
	}
	switch {
	case square >= 370:
		return 0
	case square >= 2.2:
		return clip(2 * smirnov(n, x))
	case n <= 100000 && f*math.Pow(x, 1.5) <= 1.4:
		return clip(1 - durbin(n, x))
	}
	return clip(1 - pelzGood(f, x))
}

func clip(p float64) float64 { return max(0, min(1, p)) }

// smirnov is the chance that the one-sided statistic of n values is x or more, by
// the sum of Birnbaum and Tingey. Each term is x/(x+v/n) times a binomial probability,
// which keeps its digits however large n is.
func smirnov(n int, x float64) float64 {
	f := float64(n)
	sum := math.Exp(f * math.Log1p(-x)) // v = 0
	for v := 1; v <= int(f*(1-x)) && v < n; v++ {
		p := x + float64(v)/f
		if p >= 1 {
			break
		}
		sum += x / p * binomial(float64(v), f, p)
	}
	return sum
}

// binomial is the chance of v in n at p, 0 < v < n, by Loader's expansion ("Fast and
// Accurate Computation of Binomial Probabilities", 2000).
func binomial(v, n, p float64) float64 {
	w := n - v
	lc := stirlingError(n) - stirlingError(v) - stirlingError(w) - deviance(v, n*p) - deviance(w, n*(1-p))
	return math.Exp(lc) * math.Sqrt(n/(2*math.Pi*v*w))
}

// stirlingError is ln n! less Stirling's formula for it.
func stirlingError(n float64) float64 {
	if n <= 15 {
		lg, _ := math.Lgamma(n + 1)
		return lg - (n+0.5)*math.Log(n) + n - math.Log(2*math.Pi)/2
	}
	s := n * n
	return (1./12 - (1./360-(1./1260-(1./1680-1./1188/s)/s)/s)/s) / n
}

// deviance is x ln(x/m) + m - x, without the cancellation where x and m are near.
func deviance(x, m float64) float64 {
	if d := x - m; math.Abs(d) < 0.1*(x+m) {
		v := d / (x + m)
		s := d * v
		e := 2 * x * v
		v *= v
		for j := 1; j < 1000; j++ {
			e *= v
			next := s + e/float64(2*j+1)
			if next == s {
				break
			}
			s = next
		}
		return s
	}
	return x*math.Log(x/m) + m - x
}

// durbin is the chance that the statistic is below x: an entry of the nth power of
// Durbin's matrix, as Marsaglia, Tsang and Wang have it ("Evaluating Kolmogorov's
// Distribution", 2003). The matrix is small where n x is.
func durbin(n int, x float64) float64 {
	f := float64(n)
	k := int(math.Ceil(f * x))
	h := float64(k) - f*x
	m := 2*k - 1
	base := make([]float64, m*m)
	inverse := make([]float64, m+2) // of factorials
	inverse[0] = 1
	for i := 1; i < len(inverse); i++ {
		inverse[i] = inverse[i-1] / float64(i)
	}
	for i := range m {
		for j := range m {
			if i-j+1 >= 0 {
				base[i*m+j] = inverse[i-j+1]
			}
		}
	}
	power := 1.0 // of h
	for i := range m {
		power *= h
		base[i*m] = (1 - power) * inverse[i+1]
		base[(m-1)*m+m-1-i] = base[i*m]
	}
	base[(m-1)*m] = (1 - 2*power + math.Pow(max(0, 2*h-1), float64(m))) * inverse[m]
	q, exponent := powerOf(base, m, n)
	p := q[(k-1)*m+k-1]
	for i := 1; i <= n; i++ { // times n!/n^n
		if p = p * float64(i) / f; p != 0 && p < 1e-140 {
			p, exponent = p*1e140, exponent-140
		}
	}
	return clip(p * math.Pow(10, float64(exponent)))
}

// powerOf is the nth power of a matrix, to be multiplied by ten to the exponent.
func powerOf(a []float64, m, n int) (out []float64, exponent int) {
	out = make([]float64, m*m)
	for i := range m {
		out[i*m+i] = 1
	}
	scale := 0
	for ; n > 0; n >>= 1 {
		if n&1 == 1 {
			out = product(out, a, m)
			exponent += scale
		}
		a = product(a, a, m)
		scale *= 2
		if a[m/2*m+m/2] > 1e140 {
			for i := range a {
				a[i] *= 1e-140
			}
			scale += 140
		}
		if out[m/2*m+m/2] > 1e140 {
			for i := range out {
				out[i] *= 1e-140
			}
			exponent += 140
		}
	}
	return out, exponent
}

func product(a, b []float64, m int) []float64 {
	out := make([]float64, m*m)
	for i := range m {
		row := out[i*m : i*m+m]
		for k := range m {
			x := a[i*m+k]
			for j, y := range b[k*m : k*m+m] {
				row[j] += x * y
			}
		}
	}
	return out
}

// pelzGood is the chance that the statistic is below x, for large n: Kolmogorov's limit
// and three terms in powers of 1/sqrt(n) (Pelz and Good, "Approximating the Lower
// Tail-Areas of the Kolmogorov-Smirnov One-Sample Statistic", 1976), in the form that
// converges where the statistic is small.
func pelzGood(n, x float64) float64 {
	const pi2 = math.Pi * math.Pi
	z := math.Sqrt(n) * x
	z2 := z * z
	z4, z6, z8 := z2*z2, z2*z2*z2, z2*z2*z2*z2
	if pi2/8/z2 > 708 {
		return 0
	}
	var k [4]float64
	for i := int(math.Ceil(16 * z / math.Pi)); i >= 1; i-- {
		m := float64(2*i - 1)
		m2 := m * m
		q := math.Exp(-pi2 / 8 / z2 * m2)
		k[0] += q
		k[1] += q * (pi2/4*m2 - z2)
		k[2] += q * (6*z6 + 2*z4 + pi2/4*(2*z4-5*z2)*m2 + pi2*pi2/16*(1-2*z2)*m2*m2)
		k[3] += q * (-30*z6 - 90*z8 + pi2/4*(135*z4-96*z6)*m2 + pi2*pi2/16*(212*z4-60*z2)*m2*m2 + pi2*pi2*pi2/64*(5-30*z2)*m2*m2*m2)
	}
	root := math.Sqrt(2 * math.Pi)
	k[0] *= root / z
	k[1] *= root / (6 * z4)
	k[2] *= root / (72 * z6 * z)
	k[3] *= root / (6480 * z8 * z2)
	var s2, s3 float64
	for i := int(math.Ceil(16 * z / math.Pi)); i >= 1; i-- {
		i2 := float64(i) * float64(i)
		q := math.Exp(-pi2 / 2 / z2 * i2)
		s2 += i2 * q
		s3 += (3*z2 - pi2*i2) * i2 * q
	}
	k[2] -= pi2 * root / (36 * z2 * z) * s2
	k[3] += pi2 * root / (216 * z6) * s3
	r := math.Sqrt(n)
	return k[0] + k[1]/r + k[2]/n + k[3]/(n*r)
}
