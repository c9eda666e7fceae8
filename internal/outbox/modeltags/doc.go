// Package modeltags delivers retraining events to MLflow: the version of the model
// that has drifted is given tags that say so.
//
// The one rule: tags are history. They say of a version that its retraining was
// asked for, by which event; the end of a drift changes nothing about that.
//
// Read Deliverer.
package modeltags
