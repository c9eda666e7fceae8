// Package onlinetest holds what an online.Store must do, as tests that an
// adapter runs with one call of Run, and the parts such tests are made of: rows
// and batches, a table in memory, a store that fails on demand.
//
// The one rule: nothing here looks inside an adapter.
package onlinetest
