package expect

import "github.com/weir-ml/weir/validate"

// nullRule is the only pair of rules with an opinion on null.
func nullRule(want bool) func(*args) built {
	return func(a *args) built {
		col, _ := a.column("column")
		if want {
			return built{func(b *batch, fail validate.Bitmap) int {
				copy(fail, b.cols[col].present)
				return b.liveCount
			}, "null"}
		}
		return built{func(b *batch, fail validate.Bitmap) int {
			present := b.cols[col].present
			for w := range fail {
				fail[w] = b.live[w] &^ present[w]
			}
			return b.liveCount
		}, "not null"}
	}
}

// onColumn makes a loop over the rows of one column that are present. test sets
// the rows whose value is wrong and need not look at presence.
func onColumn(col int, test func(c *column, fail validate.Bitmap)) func(*batch, validate.Bitmap) int {
	return func(b *batch, fail validate.Bitmap) int {
		c := &b.cols[col]
		if c.count > 0 {
			test(c, fail)
			and(fail, c.present)
		}
		return c.count
	}
}

// allFail fails every row that is present.
func allFail(_ *column, fail validate.Bitmap) {
	for w := range fail {
		fail[w] = ^uint64(0)
	}
}

func allPass(*column, validate.Bitmap) {}
