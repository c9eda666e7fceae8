package demo

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"time"
)

// The simulated day, in steps of the stream.
const (
	Hours       = 24   // of event time, ending now
	PerHour     = 2000 // events
	Customers   = 3000
	PriceChange = 16 // the hour at which prices rise
	Reference   = 6  // the first hours, which the model was trained on
	brokenShare = 0.03
)

var (
	contracts = []string{"Month-to-month", "One year", "Two year"}
	payments  = []string{"Electronic check", "Mailed check", "Bank transfer", "Credit card"}
)

// customer is one simulated customer.
type customer struct {
	id       string
	tenure   int
	monthly  float64
	contract string
	payment  string
}

// simulator makes the stream; the same seed makes the same stream but for its start.
type simulator struct {
	rng   *rand.Rand
	start time.Time
	all   []customer
}

func newSimulator(seed uint64, start time.Time) *simulator {
	s := &simulator{rng: rand.New(rand.NewPCG(seed, 7)), start: start}
	for i := range Customers {
		c := customer{id: fmt.Sprintf("C%05d", i+1), tenure: s.rng.IntN(73), payment: payments[s.rng.IntN(len(payments))]}
		c.contract = contracts[min(2, int(float64(c.tenure)/30*s.rng.Float64()*1.6))]
		c.monthly = 20 + 45*math.Abs(s.rng.NormFloat64()*0.6+1)
		s.all = append(s.all, c)
	}
	return s
}

// event is one record to publish.
type event struct {
	key, value []byte
	at         time.Time // the record's timestamp
}

// next makes event i of the stream. A few per cent are broken, each in its own way.
func (s *simulator) next(i int) event {
	at := s.start.Add(time.Duration(float64(i) / PerHour * float64(time.Hour)))
	c := &s.all[s.rng.IntN(len(s.all))]
	if s.rng.IntN(40) == 0 {
		c.payment = payments[s.rng.IntN(len(payments))]
	}
	monthly := c.monthly * (1 + 0.02*s.rng.NormFloat64())
	if i >= PriceChange*PerHour {
		monthly = monthly*1.3 + 9 // the new price list
	}
	f := fields{
		id: strconv.Quote(c.id), time: strconv.Quote(at.Format(time.RFC3339Nano)), tenure: strconv.Itoa(c.tenure),
		monthly: money(monthly), total: money(monthly * float64(c.tenure)), contract: strconv.Quote(c.contract), payment: strconv.Quote(c.payment),
	}
	if c.tenure == 0 {
		f.total = "null" // nothing was billed yet
	}
	value := []byte(nil)
	if s.rng.Float64() < brokenShare {
		value = s.broken(&f, at)
	}
	if value == nil {
		value = f.json()
	}
	return event{key: []byte(c.id), value: value, at: at.Add(time.Duration(s.rng.IntN(1500)) * time.Millisecond)}
}

// broken spoils a record as real producers do.
func (s *simulator) broken(f *fields, at time.Time) []byte {
	switch s.rng.IntN(7) {
	case 0:
		f.monthly = "-1"
	case 1:
		f.contract = `"Montly"`
	case 2:
		f.id = "null"
	case 3:
		f.total = `"N/A"`
	case 4:
		f.tenure = "999"
	case 5:
		f.time = strconv.Quote(at.AddDate(10, 0, 0).Format(time.RFC3339))
	case 6:
		b := f.json()
		return b[:len(b)/2] // the producer died in the middle
	}
	return nil
}

type fields struct{ id, time, tenure, monthly, total, contract, payment string }

func (f *fields) json() []byte {
	return []byte(`{"customer_id":` + f.id + `,"event_time":` + f.time + `,"tenure":` + f.tenure + `,"monthly_charges":` + f.monthly +
		`,"total_charges":` + f.total + `,"contract":` + f.contract + `,"payment_method":` + f.payment + `}`)
}

func money(v float64) string { return strconv.FormatFloat(v, 'f', 2, 64) }
