package compare

import (
	"encoding/json"
	"math"
)

// Report is what came of comparing two files. As JSON it is stable: fields are added,
// none is renamed or changes its meaning.
type Report struct {
	Reference File   `json:"reference"`
	Current   File   `json:"current"`
	Method    Method `json:"method"`
	Alpha     Number `json:"alpha,omitempty"` // of the method weir: the share of false discoveries
	// Drift is whether so many columns have drifted as the method asks for.
	Drift    bool     `json:"drift"`
	Drifted  int      `json:"drifted_columns"`
	Compared int      `json:"compared_columns"`
	Share    Number   `json:"drifted_share"`
	Columns  []Column `json:"columns"` // in the reference's order
	// OnlyCurrent are columns that the reference does not have.
	OnlyCurrent []string `json:"only_current"`
}

// File is one of the two.
type File struct {
	Path string `json:"path"`
	Rows int64  `json:"rows"`
}

// Kind is how a column's values are taken.
type Kind string

const (
	Numbers    Kind = "numbers"
	Categories Kind = "categories" // texts, booleans, and integers of few values
	Text       Kind = "text"       // texts most of which are there once: names, identifiers
	Other      Kind = "other"      // times, bytes, lists: only what is missing is compared
)

// Column is one column of both files.
type Column struct {
	Name  string `json:"column"`
	Kind  Kind   `json:"kind"`
	Drift bool   `json:"drift"`
	// Reasons say what has drifted: distribution, nulls, new_categories, missing, type.
	Reasons []string `json:"reasons"`
	// Untested says why the distribution was not compared; empty where it was.
	Untested string `json:"untested,omitempty"`
	// Test decides about the distribution; Score is compared with Threshold. By the method weir the
	// score is the p-value adjusted for all tests of the comparison, and Effect has to be large too.
	Test      string  `json:"test,omitempty"`
	Score     *Number `json:"score,omitempty"`
	Threshold *Number `json:"threshold,omitempty"`
	Effect    *Effect `json:"effect,omitempty"`
	Reference Side    `json:"reference"`
	Current   Side    `json:"current"`
	Tests     Tests   `json:"tests"`

	distinct int // different values in both together, where they were compared
	plot     *plot
	moved    share // the category whose share has changed most
}

// share is a category's in both files.
type share struct {
	name     string
	from, to float64
}

// Effect is how large a difference is, whatever the number of rows.
type Effect struct {
	Name      string `json:"name"`
	Value     Number `json:"value"`
	Threshold Number `json:"threshold"`
}

// Side is a column in one of the files.
type Side struct {
	Type     string `json:"type"`
	Values   int64  `json:"values"` // that were compared: neither missing nor infinite
	Nulls    int64  `json:"nulls"`
	NaN      int64  `json:"nan"`
	Infinite int64  `json:"infinite"`
	Distinct int64  `json:"distinct"`
	// Of numbers; std is the population's.
	Mean   *Number `json:"mean,omitempty"`
	Std    *Number `json:"std,omitempty"`
	Min    *Number `json:"min,omitempty"`
	Median *Number `json:"median,omitempty"`
	Max    *Number `json:"max,omitempty"`
	// Top are the most frequent categories.
	Top []Category `json:"top,omitempty"`
}

// missing is how many rows have no value.
func (s *Side) missing() int64 { return s.Nulls + s.NaN }

func (s *Side) rows() int64 { return s.Values + s.Nulls + s.NaN + s.Infinite }

// Category is a value and its share of the values.
type Category struct {
	Value string `json:"value"`
	Share Number `json:"share"`
}

// Tests are all numbers of a column; what does not apply is left out.
type Tests struct {
	KS             *Tested      `json:"ks,omitempty"`
	Wasserstein    *Wasserstein `json:"wasserstein,omitempty"`
	PSI            *Number      `json:"psi,omitempty"`
	JensenShannon  *Number      `json:"jensen_shannon,omitempty"`
	Hellinger      *Number      `json:"hellinger,omitempty"`
	KL             *Number      `json:"kl,omitempty"`
	ChiSquare      *Tested      `json:"chi_square,omitempty"` // the reference taken for the truth, as Evidently does
	G              *Tested      `json:"g,omitempty"`
	Homogeneity    *Tested      `json:"homogeneity,omitempty"` // chi-square with both as samples, rare categories pooled
	Z              *Tested      `json:"z,omitempty"`
	LInfinity      *Number      `json:"l_infinity,omitempty"`
	Nulls          *Shares      `json:"nulls,omitempty"`
	NewCategories  *Unseen      `json:"new_categories,omitempty"`
	Outliers       *Outliers    `json:"outliers,omitempty"`
	NullsAdjusted  *Number      `json:"nulls_adjusted_p,omitempty"`
	UnseenAdjusted *Number      `json:"new_categories_adjusted_p,omitempty"`
}

// Tested is a statistic and its p-value.
type Tested struct {
	Statistic Number `json:"statistic"`
	P         Number `json:"p_value"`
}

// Wasserstein is the distance in the column's unit, and in standard deviations of the
// reference (0.001 at least).
type Wasserstein struct {
	Distance Number `json:"distance"`
	Normed   Number `json:"normed"`
}

// Shares compares two shares of rows.
type Shares struct {
	Reference Number `json:"reference"`
	Current   Number `json:"current"`
	P         Number `json:"p_value"`
	CohenH    Number `json:"cohen_h"`
}

// Unseen are categories that the reference does not have.
type Unseen struct {
	Categories int      `json:"categories"`
	Share      Number   `json:"share"`
	P          Number   `json:"p_value"`
	CohenH     Number   `json:"cohen_h"`
	Top        []string `json:"top,omitempty"`
}

// Outliers are values beyond the reference's robust bounds.
type Outliers struct {
	Low       Number `json:"low"`
	High      Number `json:"high"`
	Reference Number `json:"reference"`
	Current   Number `json:"current"`
}

// Number is null in JSON where it is none, or infinite.
type Number float64

func (n Number) MarshalJSON() ([]byte, error) {
	if f := float64(n); f-f != 0 {
		return []byte("null"), nil
	}
	return json.Marshal(float64(n))
}

func num(f float64) *Number { n := Number(f); return &n }

// plain is a number for people: NaN for none.
func plain(n *Number) float64 {
	if n == nil {
		return math.NaN()
	}
	return float64(*n)
}

// DriftedColumns are the names of those.
func (r *Report) DriftedColumns() []string {
	var names []string
	for i := range r.Columns {
		if r.Columns[i].Drift {
			names = append(names, r.Columns[i].Name)
		}
	}
	return names
}
