// Package peers holds Weir against other projects' real programs, at the
// versions that people use: engines on its tables, their commits under its own,
// Feast's SDK and pyarrow as clients of its training sets, Great Expectations on the
// tables that it judges, scipy and Evidently on what drifts, events as Confluent's serializers write them, and
// model servers on the features that it serves.
//
// The one rule: what another program says of our data is compared value for
// value, and what it does to our tables must neither lose nor double an event.
//
// The tests are built with the tag peers and run by `make test-peers`: they
// install pinned packages (engines, feast, expectations, formats, drift, sketches: requirements.txt) with uv, and jars
// with Maven. Read engines/engine.py first, then TestEngines.
package peers
