// Package mlflow keeps the registry's models where MLflow's registry has them: a version that
// has an alias there and says by its tags what it was trained on is registered here, and the alias moves here as it does there.
//
// The one rule: what a webhook says is only a reason to look. What counts is what MLflow
// answers when it is asked, so a call that is lost, repeated or late changes nothing that a look would not.
//
// Read Follower first, then Hook.
package mlflow
