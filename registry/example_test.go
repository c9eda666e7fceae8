package registry_test

import (
	"context"
	"fmt"

	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/manifest"
	"github.com/weir-ml/weir/registry/memory"
)

func ExampleCatalog() {
	ctx := context.Background()
	r, err := registry.Open(ctx, memory.New(), registry.DefaultConfig(), registry.Checks{}, nil, nil)
	if err != nil {
		panic(err)
	}
	defer r.Close()

	docs, faults := manifest.Parse([]manifest.File{{Name: "churn.yaml", Data: []byte(`
apiVersion: weir/v1
kind: Entity
metadata: {name: customer}
spec: {join_keys: [{name: customer_id, type: string}]}
---
apiVersion: weir/v1
kind: Source
metadata: {name: events}
spec: {topic: churn.events, event_time: {field: at}}
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: profile}
spec:
  source: events
  entities: [customer]
  keys: {customer_id: customer.id}
  features: [{name: tenure, type: int32}]
`)}})
	fmt.Println("faults:", len(faults))
	plan, err := r.Apply(ctx, registry.Request{Definitions: docs.Definitions()})
	if err != nil {
		panic(err)
	}
	for _, c := range plan.Changes {
		fmt.Println(c.Action, c.Ref())
	}

	catalog, _ := r.Current(ctx)
	view, _ := catalog.View("default", "profile")
	fmt.Println(view.SourceOf.Topic, view.Keys[0].Name, view.Keys[0].Path)
	_, err = catalog.View("default", "profil")
	fmt.Println(err)
	// Output:
	// faults: 0
	// create Entity default/customer
	// create Source default/events
	// create FeatureView default/profile
	// churn.events customer_id customer.id
	// registry.get: FeatureView default/profil: it does not exist (did you mean "profile"?)
}
