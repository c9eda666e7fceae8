package tally

import "context"

// Faults are what each of several suffers from, so that it is logged when it changes and not at each look.
// Not safe for concurrent use.
type Faults map[string]string

// New notes what came of a look at one, nil for nothing, and reports whether it is a fault that it did not
// have at the look before. What a context that has ended brings says nothing of it.
func (f Faults) New(ctx context.Context, of string, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	if err == nil {
		delete(f, of)
		return false
	}
	is := f[of] != err.Error()
	f[of] = err.Error()
	return is
}
