// Package sinktest is the suite that every ingest.Sink must pass, and what
// tests of the way in need besides: a table in memory that keeps the promises of
// Sink and Committer, and faults to inject through that seam.
//
// The one rule: whatever a sink shows is compared with what a plain set of rows
// says it should show; the suite knows no sink.
//
// Read Store first, then Run; Table for tests of ingestion itself.
package sinktest
