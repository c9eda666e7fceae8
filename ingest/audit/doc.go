// Package audit proves that nothing was lost and nothing taken twice: it reads
// a view's log again and holds it against the table, the quarantine and the
// online store.
//
// The one rule: an audit looks at what is below the table's positions. There
// every event of the log is in the table once or in quarantine, never both; what
// is above is still on its way and is no difference.
//
// Read Report first.
package audit
