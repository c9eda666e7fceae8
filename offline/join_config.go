package offline

import (
	"errors"
	"fmt"
)

// JoinConfig says what the point-in-time joins of a process may take.
type JoinConfig struct {
	// Memory is about how many bytes one join holds of its spine and of what is
	// joined to it. What is more goes to the spill folder.
	Memory int64 `koanf:"memory"`
	// SpillDir is the folder for what does not fit into Memory; empty lets the program
	// take one in its data folder. Several processes may share it.
	SpillDir string `koanf:"spill_dir"`
	// MaxSpillBytes is the most that one join may have there at a time; 0 is no limit.
	MaxSpillBytes int64 `koanf:"max_spill_bytes"`
	// Concurrent is how many joins run at once; others wait for their turn.
	Concurrent int `koanf:"concurrent"`
}

const leastJoinMemory = 16 << 20

// DefaultJoinConfig is what works without any setting.
func DefaultJoinConfig() JoinConfig { return JoinConfig{Memory: 256 << 20, Concurrent: 2} }

// Validate reports all faults at once.
func (c JoinConfig) Validate() error {
	var errs []error
	if c.Memory < leastJoinMemory {
		errs = append(errs, fmt.Errorf("offline.join.memory: must be at least %d (got %d)", leastJoinMemory, c.Memory))
	}
	if c.MaxSpillBytes < 0 {
		errs = append(errs, fmt.Errorf("offline.join.max_spill_bytes: must be zero or more (got %d)", c.MaxSpillBytes))
	}
	if c.Concurrent < 1 || c.Concurrent > 64 {
		errs = append(errs, fmt.Errorf("offline.join.concurrent: must be from 1 to 64 (got %d)", c.Concurrent))
	}
	return errors.Join(errs...)
}
