package app

import (
	"path/filepath"

	"github.com/weir-ml/weir/offline"
)

// joinConfig is what training sets may take; what they cannot hold in memory goes
// into the data folder where nothing else is said.
func (a *App) joinConfig() offline.JoinConfig {
	c := a.cfg.Offline.Join
	if c.SpillDir == "" {
		c.SpillDir = filepath.Join(a.cfg.DataDir, "spill")
	}
	return c
}
