package feast

import (
	"context"
	"strconv"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/serving"
)

// ProjectHeader names the project of a request: a header over HTTP, metadata over gRPC.
const ProjectHeader = "x-weir-project"

// Service answers Feast's clients.
type Service struct {
	cfg      Config
	version  string
	ask      func(context.Context, *serving.Question) (*serving.Answer, error)
	catalogs serving.Catalogs
	writer   Writer
	ready    func(context.Context) string
}

// Options are what a Service is made of.
type Options struct {
	Config
	Version  string // what GetFeastServingInfo says
	Lookups  *serving.Lookups
	Catalogs serving.Catalogs
	Writer   Writer                       // nil: writes are refused
	Ready    func(context.Context) string // why a lookup cannot be answered now; empty when it can
}

// New makes a service; Register and Mount offer it.
func New(o Options) *Service {
	return &Service{cfg: o.Config, version: o.Version, ask: o.Lookups.Ask, catalogs: o.Catalogs, writer: o.Writer, ready: o.Ready}
}

// wanted is what both wires ask for.
type wanted struct {
	project   string
	service   string
	features  []string
	fullNames bool
	versions  bool // of the views
	columns   []column
	keys      []feature.Vector // of the columns that are join keys
	echo      []echoed
	rows      int
	order     []int    // of the block's columns: those of the first view, then of the next
	names     []string // in that order
	question  serving.Question
}

// column is one column of the request's entities, as it came.
type column struct {
	name string
	raw  []byte
}

// echoed is a join key of the answer, in the order of the request.
type echoed struct {
	name string
	key  int // of wanted.keys
}

// fillFunc reads a column into a vector of a join key and returns its rows.
type fillFunc func(k feature.Field, raw []byte, v *feature.Vector) (int, error)

// entities gives the columns that are join keys. Others are passed over, as Feast's
// servers do: clients send along what views computed on demand would need.
func (w *wanted) entities(keys []feature.Field, fill fillFunc) ([]feature.Vector, int, error) {
	if cap(w.keys) < len(keys) {
		w.keys = make([]feature.Vector, len(keys))
	}
	w.keys, w.echo = w.keys[:len(keys)], w.echo[:0]
	first := true
	for i := range w.columns {
		c := &w.columns[i]
		for k := range keys {
			if keys[k].Name != c.name {
				continue
			}
			for _, e := range w.echo {
				if e.key == k {
					return nil, 0, feature.Errorf(feature.Invalid, "lookup", "entity "+c.name, "it is there twice")
				}
			}
			n, err := fill(keys[k], c.raw, &w.keys[k])
			if err != nil {
				return nil, 0, err
			}
			if !first && n != w.rows {
				return nil, 0, feature.Errorf(feature.Invalid, "lookup", "entity "+c.name, "%d values where %s has %d", n, w.echo[0].name, w.rows)
			}
			w.rows, first = n, false
			w.echo = append(w.echo, echoed{c.name, k})
		}
	}
	for k := range keys {
		found := false
		for _, e := range w.echo {
			found = found || e.key == k
		}
		if !found {
			return nil, 0, feature.Errorf(feature.Invalid, "lookup", "entity "+keys[k].Name, "the join key is missing").WithHint("entities must have a list of %s", keys[k].Name)
		}
	}
	return w.keys, w.rows, nil
}

// find asks, and puts the answer in the order and under the names that Feast has.
func (s *Service) find(ctx context.Context, w *wanted, fill fillFunc) (answer, error) {
	read := w.question.Entities // made once for a request that is used again
	if read == nil {
		read = func(keys []feature.Field) ([]feature.Vector, int, error) { return w.entities(keys, fill) }
	}
	w.question = serving.Question{Project: w.project, Service: w.service, Features: w.features, Entities: read}
	if w.project == "" {
		w.question.Project = s.cfg.Project
	}
	found, err := s.ask(ctx, &w.question)
	if err != nil {
		return answer{}, err
	}
	a := answer{Answer: found, wanted: w}
	if err := a.arrange(s.cfg.Partial); err != nil {
		found.Discard(err)
		return answer{}, err
	}
	return a, nil
}

// answer is a block with what Feast's answers have beside: order, names, statuses.
type answer struct {
	*serving.Answer
	*wanted
}

func (a *answer) arrange(partial bool) error {
	if !partial {
		failed := 0
		view := ""
		for i := range a.Views {
			for _, s := range a.Views[i].Status {
				if s == feature.StoreError {
					failed++
					view = a.Views[i].View.Meta.Name
				}
			}
		}
		if failed > 0 {
			return feature.Errorf(feature.Unavailable, "lookup", "view "+view, "the online store did not answer for %d of %d values", failed, a.Rows*len(a.Views)).
				WithHint("ask again; feast.partial: true answers the others")
		}
	}
	a.order, a.names = a.order[:0], a.names[:0]
	for v := range a.Views {
		for i, c := range a.Service.Columns {
			if c.View != v {
				continue
			}
			view := a.Service.Views[v]
			name := view.Features[c.Feature].Name
			if a.fullNames {
				name = view.Meta.Name + "__" + name
			}
			a.order, a.names = append(a.order, i), append(a.names, name)
		}
	}
	if a.fullNames {
		return nil
	}
	if len(a.names) < 2 {
		return nil
	}
	// Names are unique but where the catalog had to tell views apart.
	for i, at := range a.order {
		if a.names[i] != a.Columns[at].Name {
			return feature.Errorf(feature.Invalid, "lookup", "feature "+a.names[i], "two views have it").WithHint("ask with full_feature_names, which calls it %s", a.Columns[at].Name)
		}
	}
	return nil
}

// status is Feast's number for one value of a column.
func status(v feature.Status, valid bool) byte {
	switch v {
	case feature.Present:
		if !valid {
			return byte(feature.NullValue)
		}
		return byte(feature.Present)
	case feature.NotFoundStatus, feature.OutsideMaxAge:
		return byte(v)
	}
	return byte(feature.StatusInvalid)
}

// keyStatus is that of a join key that is given back.
func keyStatus(valid bool) byte { return status(feature.Present, valid) }

// statusNames are those of JSON.
var statusNames = [...]string{"INVALID", "PRESENT", "NULL_VALUE", "NOT_FOUND", "OUTSIDE_MAX_AGE"}

// seconds splits microseconds as a Timestamp has them.
func seconds(micros int64) (s int64, nanos int32) {
	s = micros / 1_000_000
	rest := micros % 1_000_000
	if rest < 0 {
		s, rest = s-1, rest+1_000_000
	}
	return s, int32(rest * 1000)
}

func notA(k feature.Field, i int, what string) error {
	return feature.Errorf(feature.Invalid, "lookup", "entity "+k.Name, "value %s, %s, is not a %s", strconv.Itoa(i), what, k.Type)
}
