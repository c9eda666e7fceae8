//go:build !unix

package tabular

import "os"

// tryLock knows nothing here, so that what was left behind stays.
func tryLock(*os.File) (locked, known bool) { return false, false }

// closeBeforeRename: an open file cannot be renamed.
const closeBeforeRename = true
