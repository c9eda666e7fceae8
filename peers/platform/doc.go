// Package platform starts the real parts of a platform around Weir for tests: Airflow,
// MLflow, MLServer and KServe transformers, each in a Python environment of its own, with its files in a
// folder of the test and on ports of 127.0.0.1.
//
// The one rule: what a test started ends with the test, and only that.
//
// The environments are made by scripts/setup-test.sh (--peers or --loop) of the pinned
// mlflow/requirements.txt and airflow/requirements.txt. MLflow's has scikit-learn and pandas, so scripts that
// train and log run there: Python(t, "mlflow").
//
//	mlf := platform.StartMLflow(t, platform.MLflowOptions{})
//	air := platform.StartAirflow(t, platform.AirflowOptions{Dags: dir, Env: []string{"MLFLOW_TRACKING_URI=" + mlf.URL}})
//	air.WaitDAG("retrain_churn")
//	... air.URL, air.User, air.Password ...
//	air.Stop()  // down; air.Start() has it back, at the same address, with what it knew
//
// Logs are in the folders; a test that fails shows their ends.
//
// Read StartMLflow, StartAirflow and StartMLServer.
package platform
