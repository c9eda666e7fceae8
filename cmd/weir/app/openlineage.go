package app

import (
	"github.com/weir-ml/weir/registry/openlineage"
)

// openLineage makes what tells OpenLineage of training sets, where it is set.
func (a *App) openLineage() {
	if a.cfg.OpenLineage.URL != "" {
		a.lineage = openlineage.NewTeller(openlineage.Options{Records: a.definition, Events: a.quality, Config: a.cfg.OpenLineage, Told: a.kickDispatch, Log: a.log})
	}
}

// snapshotRecords is where training sets are recorded.
func (a *App) snapshotRecords() openlineage.Records {
	if a.lineage == nil {
		return a.definition
	}
	return a.lineage
}
