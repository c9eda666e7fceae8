package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/weir-ml/weir/registry/feature"
)

// Plan says what a request would do to the newest catalog, and everything that
// is wrong with it, without changing anything. An error means that the store
// did not answer.
func (r *Registry) Plan(ctx context.Context, req Request) (*Plan, error) {
	p, err := r.prepare(ctx, req)
	if err != nil {
		return nil, err
	}
	return p.plan, nil
}

// Apply makes the request true as one new revision, or changes nothing. It
// plans on the newest catalog and does so again when somebody else was faster.
//
// Once there is a plan it is returned also with an error: feature.Invalid for faults
// (Plan.Faults) and for breaking changes that were not allowed (Plan.Breaking),
// feature.Conflict when others kept being faster or Request.Base is not the
// newest, feature.Unavailable when the store did not answer (whether the change
// is in force is then unknown; applying it again is safe).
func (r *Registry) Apply(ctx context.Context, req Request) (*Plan, error) {
	r.applies.Lock()
	defer r.applies.Unlock()
	for try := 0; ; try++ {
		plan, err := r.try(ctx, req)
		if feature.KindOf(err) != feature.Conflict || req.Base != 0 || try >= r.cfg.ConflictRetries || ctx.Err() != nil {
			return plan, err
		}
		r.log.Debug("the catalog moved on while a change was planned, planning again")
	}
}

// prepare plans a request on the state that it asks for.
func (r *Registry) prepare(ctx context.Context, req Request) (*planner, error) {
	base, err := r.base(ctx, req)
	if err != nil {
		return nil, err
	}
	return prepare(ctx, base, r.store, r.checks, req)
}

// base is the state that a request is planned on.
func (r *Registry) base(ctx context.Context, req Request) (*state, error) {
	s, err := r.refresh(ctx)
	if err == nil && req.Base != 0 && req.Base != s.catalog.revision {
		return nil, Stale(req.Base, s.catalog.revision)
	}
	return s, err
}

func (r *Registry) try(ctx context.Context, req Request) (*Plan, error) {
	p, err := r.prepare(ctx, req)
	if err != nil {
		return nil, err
	}
	plan := p.plan
	if n := len(plan.Faults); n > 0 {
		errs := make([]error, n)
		for i, f := range plan.Faults {
			errs[i] = f
		}
		return plan, feature.Errorf(feature.Invalid, "registry.apply", counted(n, "fault")+", nothing was changed", "%w", errors.Join(errs...))
	}
	if b := plan.Breaking(); len(b) > 0 && !req.AllowBreaking {
		return plan, feature.Errorf(feature.Invalid, "registry.apply", "breaking changes, nothing was changed", "%s", strings.Join(b, "\n")).
			WithHint("pass --allow-breaking where readers are prepared, or define a new view or service beside it")
	}
	if plan.Empty() {
		plan.Revision = plan.Base
		return plan, nil
	}
	set, next := p.changeSet(r.now().UnixMicro())
	if err := r.store.Commit(ctx, set); err != nil {
		return plan, err
	}
	plan.Revision = set.Base + 1
	r.install(next)
	r.log.Info("the catalog has changed", "revision", plan.Revision, "created", plan.Count(Create),
		"updated", plan.Count(Update), "deleted", plan.Count(Delete))
	return plan, nil
}

// Delete removes definitions as one new revision. It is refused, with the names
// of the users, while others refer to them.
func (r *Registry) Delete(ctx context.Context, refs ...feature.Ref) (*Plan, error) {
	return r.Apply(ctx, Request{Delete: refs})
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
