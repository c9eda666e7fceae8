package app

import (
	"github.com/weir-ml/weir/registry/openlineage"
)

// snapshotRecords is where training sets are recorded; OpenLineage is told of them where it is set.
func (a *App) snapshotRecords() openlineage.Records {
	if a.cfg.OpenLineage.URL == "" {
		return a.definition
	}
	t := openlineage.NewTeller(a.definition, a.cfg.OpenLineage, a.log, a.after)
	a.onClose("OpenLineage", t.Close)
	return t
}
