package offline

import "context"

// NewestIn is Newest with a memory of so many keys.
var NewestIn = newest

// DiffIn is Diff with a memory of so many rows.
func DiffIn(ctx context.Context, t Table, o DiffOptions, most int) (*Difference, error) {
	o.most = most
	return Diff(ctx, t, o)
}

// ExportIn makes an export look for so many entities at once.
func ExportIn(r *ExportRequest, most int) { r.most = most }
