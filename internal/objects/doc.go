// Package objects reads and writes objects: in a bucket of S3 or of anything that speaks its protocol, or in a
// local folder. The warehouse of the tables and imports stand on it.
//
// The one rule: what a call has returned nil for is there, whole, under exactly that name; what it has
// returned an error for may be there (a lost answer) or not, but never in part.
//
// Every error is a feature.Error: NotFound (fs.ErrNotExist in its chain) where the object or the bucket is
// missing, Unauthorized, Conflict where a condition does not hold, Unavailable for everything that may pass:
// throttling, faults of the server, connections and timeouts. Calls retry by themselves for a few seconds.
//
// Read Bucket first; File is an object open for reads at random.
package objects
