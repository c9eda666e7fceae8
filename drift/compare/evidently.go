package compare

// smallReference is up to how many values Evidently chooses a p-value rather than a distance.
const smallReference = 1000

// fewNumbers is up to how many different values numbers are counted one by one.
const fewNumbers = 5

// evidently decides as Evidently 0.7.23 does when it is asked for no test: by the
// number of values of the reference and of different values in both.
func evidently(c *Column, threshold float64) {
	c.Reasons, c.Drift = nil, false // a column that is gone or of another type is an error there
	if c.Untested != "" {
		return
	}
	t, small := &c.Tests, c.Reference.Values <= smallReference
	few := c.Kind == Categories || c.distinct <= fewNumbers
	var limit float64
	drifted := func(score, limit float64) bool { return score < limit }
	switch {
	case small && few:
		limit = 0.05
		if c.distinct > 2 {
			c.Test, c.Score = "chi_square", &t.ChiSquare.P
		} else {
			c.Test, c.Score = "z", &t.Z.P
		}
	case small:
		limit, c.Test, c.Score = 0.05, "ks", &t.KS.P
		drifted = func(score, limit float64) bool { return score <= limit }
	default:
		limit, c.Test, c.Score = 0.1, "jensen_shannon", t.JensenShannon
		if !few {
			c.Test, c.Score = "wasserstein", &t.Wasserstein.Normed
		}
		drifted = func(score, limit float64) bool { return score >= limit }
	}
	if threshold > 0 {
		limit = threshold
	}
	c.Threshold = num(limit)
	if drifted(plain(c.Score), limit) {
		c.Drift, c.Reasons = true, []string{"distribution"}
	}
}
