"""Puts MLflow's champion into a folder that MLServer serves by the Open Inference Protocol.

    python mlserver.py models && mlserver start models

What /v2/models/churn/infer of Weir answers with {"as": "request"} is what it is asked. Prints {"version": v}.
"""

import argparse
import json
import pathlib

import joblib
import mlflow

MODEL, ALIAS = "churn", "champion"
SETTINGS = {
    "name": MODEL,
    "implementation": "mlserver_sklearn.SKLearnModel",
    "parameters": {"uri": "./model.joblib", "extra": {"predict_fn": "predict_proba"}},
}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder", type=pathlib.Path)
    home = p.parse_args().folder / MODEL
    version = mlflow.MlflowClient().get_model_version_by_alias(MODEL, ALIAS).version
    model = mlflow.sklearn.load_model(f"models:/{MODEL}/{version}")
    home.mkdir(parents=True, exist_ok=True)
    joblib.dump(model, home / "model.joblib")
    (home / "model-settings.json").write_text(json.dumps({**SETTINGS, "parameters": {**SETTINGS["parameters"], "version": str(version)}}))
    print(json.dumps({"version": str(version)}))


if __name__ == "__main__":
    main()
