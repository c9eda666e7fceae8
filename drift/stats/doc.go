// Package stats has the tests and distances that tell how far two samples of a
// feature are apart: of numbers (sorted columns, or the steps read from a
// quantile sketch) and of counted categories. It computes and reads nothing.
//
// The one rule: a number that has a name elsewhere is the number that goes by it
// there. Tests are those of scipy, distances those of Evidently 0.7.23 with its
// bins, within 1e-9; peers/drift holds them side by side.
//
// Values are finite. NaN and infinities are taken out before (see compare); what
// has no values, or cannot be told, is NaN or a p-value of 1, as each function
// says, and never a panic.
//
// Read Sample first, then Merge (Kolmogorov-Smirnov and Wasserstein in one pass),
// then Bins and Shares.
package stats
