package jsonscan

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/weir-ml/weir/internal/testseed"
)

func (a Decimal) rat() *big.Rat {
	r := new(big.Rat).SetInt(new(big.Int).SetUint64(a.Mant))
	p := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(a.Exp, -a.Exp))), nil))
	if a.Exp < 0 {
		r.Quo(r, p)
	} else {
		r.Mul(r, p)
	}
	if a.Neg {
		r.Neg(r)
	}
	return r
}

func randomDecimal(rng *rand.Rand) Decimal {
	a := Decimal{Mant: rng.Uint64N(1e19) >> rng.IntN(64), Exp: int32(rng.IntN(46) - 23), Neg: rng.IntN(2) == 0}
	if rng.IntN(4) == 0 {
		a.Mant = uint64(rng.IntN(20))
	}
	if rng.IntN(3) == 0 { // trailing zeros
		for range rng.IntN(10) {
			if a.Mant < 1e18 {
				a.Mant *= 10
			}
		}
	}
	return a
}

func TestDecimalAgainstRationals(t *testing.T) {
	seed := testseed.For(t)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 40_000 {
		a, b := randomDecimal(rng), randomDecimal(rng)
		if rng.IntN(4) == 0 { // the same number, written differently
			b = a.Normal()
		}
		ra, rb := a.rat(), b.rat()
		if got, want := a.Compare(b), ra.Cmp(rb); got != want {
			t.Fatalf("%+v against %+v: %d, want %d", a, b, got, want)
		}
		if a.IsInteger() != ra.IsInt() {
			t.Fatalf("%+v integer: %v", a, a.IsInteger())
		}
		if a.Normal().rat().Cmp(ra) != 0 {
			t.Fatalf("%+v becomes %+v", a, a.Normal())
		}
		if b.Mant != 0 {
			b.Neg = false
			if got, want := a.MultipleOf(b), new(big.Rat).Quo(ra, b.rat()).IsInt(); got != want {
				t.Fatalf("%+v multiple of %+v: %v, want %v", a, b, got, want)
			}
		}
		got, ok := a.Int64()
		if want := ra.IsInt() && ra.Num().IsInt64(); ok != want || ok && got != ra.Num().Int64() {
			t.Fatalf("%+v as int64: %d %v", a, got, ok)
		}
		shift := int32(rng.IntN(10) - 3)
		shifted := Decimal{a.Mant, a.Exp + shift, a.Neg}.rat()
		floor := new(big.Int).Div(shifted.Num(), shifted.Denom())
		if got, ok := a.Floor(shift); ok != floor.IsInt64() || ok && got != floor.Int64() {
			t.Fatalf("%+v floor %d: %d %v, want %s", a, shift, got, ok, floor)
		}
		if d, ok := DecimalOf(ra); !ok || d.Compare(a) != 0 {
			t.Fatalf("%+v from its rational: %+v %v", a, d, ok)
		}
	}
}

func TestFloats(t *testing.T) {
	seed := testseed.For(t)
	rng := rand.New(rand.NewPCG(seed, 0))
	s, d := NewScanner(nil, Limits{}), &Doc{}
	check := func(text string) {
		t.Helper()
		if err := s.Scan(d, []byte(text)); err != nil {
			t.Fatal(text, err)
		}
		want, err := strconv.ParseFloat(text, 64)
		if got, ok := d.Float64(0); ok != (err == nil) || ok && math.Float64bits(got) != math.Float64bits(want) {
			t.Fatalf("%s: %v %v, want %v", text, got, ok, want)
		}
		want32, err := strconv.ParseFloat(text, 32)
		if got, ok := d.Float32(0); ok != (err == nil) || ok && math.Float32bits(got) != math.Float32bits(float32(want32)) {
			t.Fatalf("%s: %v %v, want %v as float32", text, got, ok, want32)
		}
	}
	for _, x := range []string{"0", "-0", "-0.0", "1e400", "-1e400", "1e-400", "1e308", "1.8e308", "3.5e38", "16777217", "9007199254740993", "0.1", "123456789012345678901234567890", "12.658579999999999", "1e22", "1e23"} {
		check(x)
	}
	for range 20_000 {
		f := math.Float64frombits(rng.Uint64())
		if math.IsNaN(f) || math.IsInf(f, 0) {
			continue
		}
		check(strconv.FormatFloat(f, 'g', -1, 64))
		check(fmt.Sprintf("%d.%0*d", rng.IntN(100000), 1+rng.IntN(6), rng.IntN(10)))
		check(strings.TrimPrefix(fmt.Sprintf("%de%d", rng.IntN(1<<26), rng.IntN(60)-30), "+"))
	}
}
