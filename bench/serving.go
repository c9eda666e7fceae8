package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"time"

	goredis "github.com/redis/go-redis/v9"

	feast "github.com/weir-ml/weir/proto/feast/serving"
	types "github.com/weir-ml/weir/proto/feast/types"
	"github.com/weir-ml/weir/proto/inference"
	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
)

const (
	lookupClients = 32
	lookupRound   = 1500 * time.Millisecond
	lookupRounds  = 3
	lookupOpen    = 5 * time.Second
)

// shape is a lookup that is measured.
type shape struct {
	what    string
	service string
	views   int
	rows    int
	cpu     float64 // target, µs of the server a request
	ratio   float64 // target, against MGET
	feastGo string  // what Feast's Go server took, µs
}

var shapes = []shape{
	{"1 x 10 features of one view", "one", 1, 1, 60, 0.20, "160"},
	{"10 x 30 features of three views", "three", 3, 10, 120, 0.45, "380 (10 x 10)"},
	{"100 x 10 features of one view", "one", 1, 100, 200, 0.60, "2300 to 2900"},
}

// measureServing asks a server of lookups on a real Redis: under all the load that the
// clients can make, in turn with MGETs of the same keys by a plain client, and then
// at a constant rate of half of that.
func measureServing(ctx context.Context, r *run) error {
	redis, err := r.redis(ctx, "serving")
	if redis == nil || err != nil {
		return err
	}
	defer redis.Stop()
	data := filepath.Join(r.dir, "serving")
	profile := ""
	if r.profiles != "" {
		profile = filepath.Join(r.dir, "serving.prof")
	}
	p, err := r.role(ctx, "serving", data, profile, "redis.addrs="+redis.Addr, "redis.read_timeout=2s")
	if err != nil {
		return err
	}
	err = r.serve(ctx, p, redis.Addr)
	if serr := p.stop(); err == nil {
		err = serr
	}
	return err
}

func (r *run) serve(ctx context.Context, p *process, addr string) error {
	w := &lookups{server: p, asFeast: feast.NewServingServiceClient(p.conn), asModel: inference.NewGRPCInferenceServiceClient(p.conn), redis: goredis.NewClient(&goredis.Options{Addr: addr, PoolSize: 2 * lookupClients})}
	defer w.redis.Close()
	bytes, err := w.fill(ctx, addr)
	if err != nil {
		return err
	}
	r.add(Line{What: "Redis, an entity of 10 float64 and a string with its expiry", Value: bytes, Unit: "bytes", Target: 280,
		Note: fmt.Sprintf("used_memory of %d entities; keys of %d bytes; Feast's hash takes 328 with a shorter key (measured once, not in this run)", lookupEntities, len(userKey(0, 0)))})
	for _, s := range shapes {
		if err := w.check(ctx, s); err != nil {
			return err
		}
		warm := closed(ctx, lookupRound/5, func(c, i int) error { return w.lookup(ctx, s, c*7919+i) })
		if warm.err != nil {
			return fmt.Errorf("%s: %w", s.what, warm.err)
		}
		var cpu, ratio, rate, raw, other, model []float64
		for range lookupRounds {
			mget := closed(ctx, lookupRound, func(c, i int) error { return w.mget(ctx, s, c*7919+i*31) })
			from := p.usedCPU()
			ours := closed(ctx, lookupRound, func(c, i int) error { return w.lookup(ctx, s, c*7919+i*31) })
			between := p.usedCPU()
			as := closed(ctx, lookupRound, func(c, i int) error { return w.feast(ctx, s, c*7919+i*31) })
			after := p.usedCPU()
			tensors := closed(ctx, lookupRound, func(c, i int) error { return w.infer(ctx, s, c*7919+i*31) })
			if err := firstError(ours.err, mget.err, as.err, tensors.err); err != nil {
				return fmt.Errorf("%s: %w", s.what, err)
			}
			cpu = append(cpu, 1e6*(between-from)/float64(ours.calls))
			other = append(other, 1e6*(after-between)/float64(as.calls))
			model = append(model, 1e6*(p.usedCPU()-after)/float64(tensors.calls))
			rate, raw = append(rate, ours.rate()), append(raw, mget.rate())
			ratio = append(ratio, ours.rate()/mget.rate())
		}
		r.add(Line{What: "lookups of " + s.what + ": CPU of the server", Value: median(cpu), Unit: "µs a request", Target: s.cpu,
			Note: fmt.Sprintf("Feast's own Go server took %s µs, measured once and not in this run; %d requests at once on one connection, %s a second; median of %d rounds", s.feastGo, lookupClients, number(median(rate)), lookupRounds)})
		r.add(Line{What: "the same, requests against MGETs of the same keys", Value: median(ratio), Unit: "of MGET", Target: s.ratio, AtLeast: true,
			Note: fmt.Sprintf("go-redis, %d at once: %s MGET/s; server, Redis and clients share the cores", lookupClients, number(median(raw)))})
		r.add(Line{What: "Feast's gRPC answer to the same: CPU of the server to ours", Value: median(other) / median(cpu), Unit: "times", Target: 1.3,
			Note: fmt.Sprintf("%s µs a request", number(median(other)))})
		r.add(Line{What: "the Open Inference Protocol's over gRPC, one raw tensor: CPU of the server to ours", Value: median(model) / median(cpu), Unit: "times", Target: 1.3,
			Note: fmt.Sprintf("%s µs a request", number(median(model)))})
		half := median(rate) / 2
		mget := open(ctx, half, lookupOpen, func(i int) error { return w.mget(ctx, s, i*31) })
		ours := open(ctx, half, lookupOpen, func(i int) error { return w.lookup(ctx, s, i*31) })
		if err := firstError(ours.err, mget.err); err != nil {
			return fmt.Errorf("%s: %w", s.what, err)
		}
		r.add(Line{What: "the same at half of that, from when each was due: p99", Value: ours.at(0.99), Unit: "ms",
			Note: fmt.Sprintf("p50 %s, p99.9 %s ms; MGET at the same rate p50 %s, p99 %s, p99.9 %s ms; %s a second for %s", number(ours.at(0.5)), number(ours.at(0.999)),
				number(mget.at(0.5)), number(mget.at(0.99)), number(mget.at(0.999)), number(half), lookupOpen)})
	}
	return nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// lookup asks once and looks at what must be right whatever was asked.
func (w *lookups) lookup(ctx context.Context, s shape, from int) error {
	a, err := w.server.features.Lookup(ctx, w.request(s, from))
	if err != nil {
		return err
	}
	if int(a.Rows) != s.rows || a.Partial || len(a.Columns) != 10*s.views || len(a.Columns[0].Validity) > 0 {
		return fmt.Errorf("lookup: %d of %d rows, %d columns, partial %v", a.Rows, s.rows, len(a.Columns), a.Partial)
	}
	return nil
}

func (w *lookups) request(s shape, from int) *weirv1.LookupRequest {
	who := make([]string, s.rows)
	for i := range who {
		who[i] = user((from + i*7) % lookupEntities)
	}
	return &weirv1.LookupRequest{What: &weirv1.LookupRequest_Service{Service: s.service},
		Entities: []*weirv1.EntityColumn{{Name: "id", Values: &weirv1.Values{Kind: &weirv1.Values_Strings{Strings: &weirv1.Strings{Values: who}}}}}}
}

// feast asks the same of Feast's API.
func (w *lookups) feast(ctx context.Context, s shape, from int) error {
	who := make([]*types.Value, s.rows)
	for i := range who {
		who[i] = &types.Value{Val: &types.Value_StringVal{StringVal: user((from + i*7) % lookupEntities)}}
	}
	a, err := w.asFeast.GetOnlineFeatures(ctx, &feast.GetOnlineFeaturesRequest{Kind: &feast.GetOnlineFeaturesRequest_FeatureService{FeatureService: s.service},
		Entities: map[string]*types.RepeatedValue{"id": {Val: who}}})
	if err != nil {
		return err
	}
	if len(a.Results) != 1+10*s.views || len(a.Results[1].Statuses) != s.rows || a.Results[1].Statuses[s.rows-1] != feast.FieldStatus_PRESENT {
		return fmt.Errorf("lookup as Feast has it: %d columns of %s", len(a.Results), a.Results[1].Statuses)
	}
	return nil
}

// infer asks the same as a client of the Open Inference Protocol: a raw tensor of keys, and one of features.
func (w *lookups) infer(ctx context.Context, s shape, from int) error {
	var key []byte
	for i := range s.rows {
		who := user((from + i*7) % lookupEntities)
		key = append(binary.LittleEndian.AppendUint32(key, uint32(len(who))), who...)
	}
	a, err := w.asModel.ModelInfer(ctx, &inference.ModelInferRequest{ModelName: s.service, RawInputContents: [][]byte{key},
		Inputs: []*inference.ModelInferRequest_InferInputTensor{{Name: "id", Datatype: "BYTES", Shape: []int64{int64(s.rows)}}}})
	if err != nil {
		return err
	}
	if len(a.RawOutputContents) != 1 || len(a.RawOutputContents[0]) != 8*s.rows*10*s.views || a.Parameters["partial"].GetBoolParam() {
		return fmt.Errorf("lookup as a model: %d tensors, %v", len(a.Outputs), a.Parameters)
	}
	return nil
}

// mget asks Redis for the keys that lookup asks for.
func (w *lookups) mget(ctx context.Context, s shape, from int) error {
	keys := make([]string, 0, s.rows*s.views)
	for v := range s.views {
		for i := range s.rows {
			keys = append(keys, userKey(v, (from+i*7)%lookupEntities))
		}
	}
	vals, err := w.redis.MGet(ctx, keys...).Result()
	if err != nil {
		return err
	}
	for i, v := range vals {
		if v == nil {
			return fmt.Errorf("redis has no %s", keys[i])
		}
	}
	return nil
}
