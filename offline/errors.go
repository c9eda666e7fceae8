package offline

import "errors"

// Faults of a table that somebody other than Weir has changed. They are the
// causes of feature.Invalid errors from Table and its methods; look for them
// with errors.Is.
var (
	// ErrRolledBack: the newest rows are not those that the positions count in, as
	// after another engine set the table back to an older snapshot. Going on
	// would leave a hole, so nothing is read or committed until it is mended.
	ErrRolledBack = errors.New("the table was rolled back")
	// ErrNoPositions: the table has rows but its positions are gone or unreadable.
	ErrNoPositions = errors.New("the table's positions are lost")
)
