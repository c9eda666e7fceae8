// Package iceberg keeps the tables of views as Apache Iceberg tables: an SQL
// catalog (the layout that Iceberg's own JDBC catalogs share) in a database of
// its own, and files in a folder. Any engine that speaks Iceberg reads them.
//
// The one rule: the table property weir.positions is the truth about where a
// table stands, and every change of the table is a compare-and-swap on the
// metadata file it was computed from. So rows and positions move together, and
// nothing that was decided on old positions can land.
//
// How a commit goes: load the newest metadata, read the positions, decide
// (offline.Decide), stage manifests, write the new metadata file, sync, swap the
// catalog's pointer from the old to the new file. A lost swap and a lost answer
// are treated alike: load again and decide by the positions. Data files are
// never deleted here; whatever no snapshot names is left to orphan removal.
//
// The swap is done here and not by iceberg-go's catalog, which compares with
// metadata that it loads again by itself: a commit that only moves positions
// makes no snapshot, so its check of the snapshot would let an append pass that
// was computed from older positions.
//
// Upkeep commits by the same swap. A rewrite of files lies on ours like another
// engine's commit and names the commit below it; a rollback moves the branch and
// the positions at once and is remembered in the property weir.rollbacks. Files
// are removed only after a commit that forgot them: by an expiry what its
// snapshots alone named, by a sweep what nothing names and is older than a
// cutoff. The cutoff is committed first, as weir.swept, and a commit whose files
// were begun before it is refused: so no sweep takes a file of a commit that can
// still land, however long its worker was away.
//
// Read Store first, then Table.Append and land.go.
package iceberg
