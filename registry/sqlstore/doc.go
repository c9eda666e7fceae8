// Package sqlstore keeps the registry in SQLite or PostgreSQL.
//
// The one rule: registry_revisions is the lock. A commit inserts row Base+1
// there, which only one of any number of processes can do; everything else of
// the commit is in the same transaction. A definition's row says from which
// revision to which it was in force, so an old catalog is a range condition.
package sqlstore
