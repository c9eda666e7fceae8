package app

import "github.com/weir-ml/weir/internal/mlflow"

// MLflowConfig is the MLflow whose model versions are tied to their training data.
type MLflowConfig struct {
	mlflow.Config `koanf:",squash"`
}
