// Package registry is the catalog of definitions: what entities, sources, views,
// services, suites and monitors there are, in which version, since when, and who
// uses whom. It also remembers the snapshots that models were trained on.
//
// The one rule: a Catalog is all definitions at one revision, whole and
// consistent, and never changes. Every change makes a new revision; every old
// one can be had again (Registry.At), because a replayed event is judged by the
// revision that judged it first.
//
// Read Catalog first, then Registry, then Store. Manifests are read by the
// sub-package manifest; sqlstore and memory are stores.
package registry
