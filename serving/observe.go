package serving

import (
	"context"
	"errors"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
)

// observations are what lookups count. What a plan counts into is looked up once,
// when the plan is compiled; what left the catalog leaves the metrics with it.
type observations struct {
	inFlight prometheus.Gauge
	refused  [feature.Unauthorized + 1]prometheus.Counter // by kind
	givenUp  prometheus.Counter

	mu       sync.Mutex
	services map[[2]string]*serviceStats // by project and service; guarded by mu
	views    map[[2]string]*viewStats    // by project and view; guarded by mu
	revision int64                       // the newest that was swept for; guarded by mu
}

// The stages of a lookup. The store's is the time of Plan.Read: keys made, values
// fetched and decoded. The answer's ends when it is in the form that is sent.
const (
	stagePlan = iota
	stageEntities
	stageStore
	stageEncode
	stageCount
)

var stageNames = [stageCount]string{"plan", "entities", "store", "encode"}

func newObservations(r prometheus.Registerer) *observations {
	refused := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "weir_lookups_refused_total", Help: "Lookups that got no answer, by the kind of error; canceled are those whose caller waited no longer."}, []string{"reason"})
	o := &observations{
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "weir_lookups_in_flight", Help: "Lookups that are being answered."}),
		services: map[[2]string]*serviceStats{}, views: map[[2]string]*viewStats{},
	}
	o.givenUp = refused.WithLabelValues("canceled")
	for k := range o.refused {
		o.refused[k] = refused.WithLabelValues(feature.ErrorKind(k).String())
	}
	r.MustRegister(o.inFlight, refused, o)
	return o
}

// watched is what one plan counts into.
type watched struct {
	service *serviceStats
	views   []watchedView
}

// watch finds or makes the counts of a plan. name is the service's as it was asked for, empty for a list of features.
func (o *observations) watch(project, name string, s *feature.Service) *watched {
	o.mu.Lock()
	defer o.mu.Unlock()
	k := [2]string{project, name}
	w := &watched{service: o.services[k], views: make([]watchedView, len(s.Views))}
	if w.service == nil {
		w.service = &serviceStats{}
		o.services[k] = w.service
	}
	for i, v := range s.Views {
		k := [2]string{project, v.Meta.Name}
		if o.views[k] == nil {
			o.views[k] = &viewStats{features: map[string]*featureStats{}}
		}
		w.views[i].stats = o.views[k]
	}
	for i, c := range s.Columns {
		v := &w.views[c.View]
		name := s.Views[c.View].Features[c.Feature].Name
		if v.stats.features[name] == nil {
			v.stats.features[name] = &featureStats{}
		}
		v.columns = append(v.columns, watchedColumn{i, v.stats.features[name]})
	}
	return w
}

// sweep forgets what a newer catalog does not have any more. A lookup that goes on
// with an older one counts into nothing.
func (o *observations) sweep(cat *registry.Catalog) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if cat.Revision() <= o.revision {
		return
	}
	o.revision = cat.Revision()
	projects := map[string]bool{}
	for _, p := range cat.Projects() {
		projects[p] = true
	}
	for k := range o.services {
		keep := projects[k[0]]
		if k[1] != "" {
			_, err := cat.Service(k[0], k[1])
			keep = err == nil
		}
		if !keep {
			delete(o.services, k)
		}
	}
	for k, stats := range o.views {
		v, err := cat.View(k[0], k[1])
		if err != nil {
			delete(o.views, k)
			continue
		}
		for name := range stats.features {
			if v.Feature(name) < 0 {
				delete(stats.features, name)
			}
		}
	}
}

// refuse ends a lookup that gets no answer.
func (o *observations) refuse(err error) {
	o.inFlight.Dec()
	switch k := feature.KindOf(err); {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		o.givenUp.Inc()
	case int(k) < len(o.refused):
		o.refused[k].Inc()
	}
}

// Describe and Collect show the counts of services, views and features.
func (o *observations) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{wholeDesc, stageDesc, requestRowsDesc, requestValuesDesc, rowsDesc, valuesDesc, ageDesc, newestDesc} {
		ch <- d
	}
}

func (o *observations) Collect(ch chan<- prometheus.Metric) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for k, s := range o.services {
		s.collect(ch, k[0], k[1])
	}
	for k, v := range o.views {
		v.collect(ch, k[0], k[1])
	}
}
