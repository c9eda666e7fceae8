package iceberg

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"

	iceberg "github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
)

// Every commit writes the table's whole metadata, and all but a few hundred
// bytes of a long history are its snapshots, which never change. They are
// encoded once and kept as text beside the metadata: encoding a thousand of them
// anew took three quarters of a commit's CPU time.

// metadataHead is metadata of format version 2 without its snapshots, field for
// field as Iceberg's specification names them.
type metadataHead struct {
	FormatVersion      int                             `json:"format-version"`
	UUID               string                          `json:"table-uuid"`
	Location           string                          `json:"location"`
	LastSequenceNumber int64                           `json:"last-sequence-number"`
	LastUpdated        int64                           `json:"last-updated-ms"`
	LastColumn         int                             `json:"last-column-id"`
	Schemas            []*iceberg.Schema               `json:"schemas"`
	CurrentSchema      int                             `json:"current-schema-id"`
	Specs              []iceberg.PartitionSpec         `json:"partition-specs"`
	DefaultSpec        int                             `json:"default-spec-id"`
	LastPartition      *int                            `json:"last-partition-id,omitempty"`
	Properties         iceberg.Properties              `json:"properties,omitempty"`
	CurrentSnapshot    *int64                          `json:"current-snapshot-id,omitempty"`
	SnapshotLog        []table.SnapshotLogEntry        `json:"snapshot-log,omitempty"`
	MetadataLog        []table.MetadataLogEntry        `json:"metadata-log,omitempty"`
	SortOrders         []table.SortOrder               `json:"sort-orders"`
	DefaultSortOrder   int                             `json:"default-sort-order-id"`
	Refs               map[string]table.SnapshotRef    `json:"refs,omitempty"`
	Statistics         []table.StatisticsFile          `json:"statistics,omitempty"`
	PartitionStats     []table.PartitionStatisticsFile `json:"partition-statistics,omitempty"`
}

// encode is the metadata as JSON; snapshots is encodeSnapshots of it. Other
// versions than the one we write have fields that are not known here, and are left to iceberg-go.
func encode(m table.Metadata, snapshots []byte) ([]byte, error) {
	if m.Version() != 2 {
		return json.Marshal(m)
	}
	h := metadataHead{
		FormatVersion: m.Version(), UUID: m.TableUUID().String(), Location: m.Location(),
		LastSequenceNumber: m.LastSequenceNumber(), LastUpdated: m.LastUpdatedMillis(), LastColumn: m.LastColumnID(),
		Schemas: m.Schemas(), CurrentSchema: m.CurrentSchema().ID,
		Specs: m.PartitionSpecs(), DefaultSpec: m.DefaultPartitionSpec(), LastPartition: m.LastPartitionSpecID(),
		Properties:  m.Properties(),
		SnapshotLog: slices.Collect(m.SnapshotLogs()), MetadataLog: slices.Collect(m.PreviousFiles()),
		SortOrders: m.SortOrders(), DefaultSortOrder: m.DefaultSortOrder(),
		Refs:       maps.Collect(m.Refs()),
		Statistics: slices.Collect(m.Statistics()), PartitionStats: slices.Collect(m.PartitionStatistics()),
	}
	if s := m.CurrentSnapshot(); s != nil {
		h.CurrentSnapshot = &s.SnapshotID
	}
	head, err := json.Marshal(h)
	if err != nil || len(snapshots) == 0 {
		return head, err
	}
	const name = `,"snapshots":[`
	out := make([]byte, 0, len(head)+len(name)+len(snapshots)+2)
	out = append(out, head[:len(head)-1]...) // without its brace
	out = append(out, name...)
	out = append(out, snapshots...)
	return append(out, "]}"...), nil
}

// encodeSnapshots is the metadata's snapshots as JSON, with commas between.
func encodeSnapshots(m table.Metadata) ([]byte, error) {
	b, err := json.Marshal(m.Snapshots())
	if err != nil || bytes.Equal(b, []byte("null")) {
		return nil, err
	}
	return b[1 : len(b)-1], nil
}

// snapshotsAfter is encodeSnapshots of next, which updates made of base.
func snapshotsAfter(base *loaded, updates []table.Update, next table.Metadata) ([]byte, error) {
	added := 0
	for _, u := range updates {
		switch u.Action() {
		case table.UpdateSetProperties, table.UpdateSetSnapshotRef:
		case table.UpdateAddSnapshot:
			added++
		default:
			return encodeSnapshots(next)
		}
	}
	was, now := base.meta.CurrentSnapshot(), next.CurrentSnapshot()
	switch {
	case base.snapshots == nil && len(base.meta.Snapshots()) > 0, added > 1:
		return encodeSnapshots(next)
	case added == 0:
		return base.snapshots, nil
	case now == nil, was != nil && was.SnapshotID == now.SnapshotID: // the new one is on a branch
		return encodeSnapshots(next)
	}
	b, err := json.Marshal(now)
	if err != nil {
		return nil, err
	}
	if len(base.snapshots) == 0 {
		return b, nil
	}
	// Always a copy: base may be the start of several attempts.
	return slices.Concat(base.snapshots, []byte{','}, b), nil
}
