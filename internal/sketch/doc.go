// Package sketch has bounded, mergeable summaries of many values: quantiles (KLL),
// how many are distinct (HLL), which are there and how often (Values), and moments.
//
// KLL, HLL and the frequent items of Values can be written in the formats of Apache
// DataSketches, for other tools to read.
//
// The one rule: a summary tells its own error, and none is told as exact that is not.
//
// Read KLL first, then Values.
package sketch
