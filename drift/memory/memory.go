// Package memory is a drift.Store that lives in memory: for tests, and for
// commands that look at files without a server.
//
// The one rule: it keeps the same promises as the SQL store but for surviving its process.
package memory

import (
	"github.com/weir-ml/weir/drift"
	"github.com/weir-ml/weir/internal/tally/memory"
)

// Store implements drift.Store.
type Store = memory.Store[*drift.Profile, *drift.Verdict]

var _ drift.Store = (*Store)(nil)

// New returns an empty store.
func New() *Store { return memory.New[*drift.Profile, *drift.Verdict](drift.DecodeProfile, nil) }
