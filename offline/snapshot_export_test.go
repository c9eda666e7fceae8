package offline

import "github.com/apache/arrow-go/v18/arrow"

// HashRows is the content hash of some batches of a spine.
func HashRows(recs []arrow.RecordBatch) (string, error) {
	h := newRowHash(int(recs[0].NumCols()))
	for _, r := range recs {
		if err := h.write(r); err != nil {
			return "", err
		}
	}
	_, s := h.sums()
	return s, nil
}
