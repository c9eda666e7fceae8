package expect

import (
	"cmp"
	"container/heap"
	"slices"
)

// keptRows keeps the first unexpected rows of a table, whatever the order they come in.
type keptRows struct {
	most int // how many, -1 for all
	rows []Example
	heap bool // rows is a heap, the last row on top
}

// wants reports whether a row would be kept.
func (k *keptRows) wants(row int64) bool {
	if k.most < 0 || len(k.rows) < k.most {
		return true
	}
	if k.most == 0 {
		return false
	}
	if !k.heap {
		heap.Init(k)
		k.heap = true
	}
	return row < k.rows[0].Row
}

// add keeps a row that wants has agreed to.
func (k *keptRows) add(e Example) {
	if k.most < 0 || len(k.rows) < k.most {
		k.rows = append(k.rows, e)
		return
	}
	k.rows[0] = e
	heap.Fix(k, 0)
}

// sorted are the kept rows in their order.
func (k *keptRows) sorted() []Example {
	k.heap = false
	slices.SortFunc(k.rows, func(a, b Example) int { return cmp.Compare(a.Row, b.Row) })
	return k.rows
}

func (k *keptRows) Len() int           { return len(k.rows) }
func (k *keptRows) Less(i, j int) bool { return k.rows[i].Row > k.rows[j].Row }
func (k *keptRows) Swap(i, j int)      { k.rows[i], k.rows[j] = k.rows[j], k.rows[i] }
func (k *keptRows) Push(any)           {} // never: the heap keeps its size
func (k *keptRows) Pop() any           { return nil }
