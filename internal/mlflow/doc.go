// Package mlflow speaks to an MLflow tracking server's model registry over its REST
// API: versions, aliases, and the tags that tie a version to its training data.
//
// The one rule: only MLflow's own word that a model, version or alias does not exist
// is an absence (feature.NotFound). An address where something else answers is feature.Unavailable.
//
// Read Client first.
package mlflow
