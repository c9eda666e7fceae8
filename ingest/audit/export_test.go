package audit

import "github.com/weir-ml/weir/registry/feature"

// PerDrill sets how many buckets are looked into at a time.
func (a *Auditor) PerDrill(n int) *Auditor {
	a.perDrill = n
	return a
}

// RowHashes are the hashes of a batch's rows.
func RowHashes(v *feature.View, b *feature.Batch) []uint64 {
	return newHasher(v).rows(nil, seedOf(b.Origin.TopicID, b.Origin.Partition), b, nil)
}
