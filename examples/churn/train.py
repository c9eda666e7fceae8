"""Trains the churn model on a snapshot, and tells MLflow which one it was.

    python train.py FILE        FILE as snapshot.py wrote it

The model's version has the tags by which Weir ties the two: feature_service, feature_snapshot_id. A version that is good
enough becomes the champion. Prints {"version": v, "auc": x, "snapshot": id}.
"""

import argparse
import json

import mlflow
import pyarrow.parquet as pq
import sklearn
from mlflow.entities import Dataset, DatasetInput, InputTag
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

MODEL, SERVICE, ALIAS = "churn", "churn", "champion"
NOT_FEATURES = ["customer_id", "event_timestamp", "churned", "split"]


def read(path):
    """The rows to train on, those to test on, and the snapshot that they are."""
    table = pq.read_table(path)
    df = table.to_pandas()
    return df[df.split == "train"], df[df.split == "test"], table.schema.metadata[b"weir.snapshot"].decode()


def features(df):
    return df.drop(columns=NOT_FEATURES)


def fit(df):
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_include=["object", "string"])),
        remainder=SimpleImputer(),
    )
    return make_pipeline(columns, RandomForestClassifier(200, min_samples_leaf=5, random_state=1)).fit(features(df), df.churned)


def log(client, model, auc, rows, example, snapshot):
    """Logs the run and returns the new version's number."""
    mlflow.set_experiment(MODEL)
    with mlflow.start_run() as run:
        mlflow.log_metric("auc", auc)
        data = Dataset(SERVICE, snapshot, "featurestore", json.dumps({"service": SERVICE, "snapshot": snapshot}), profile=json.dumps({"num_rows": rows}))
        client.log_inputs(run.info.run_id, [DatasetInput(data, [InputTag("mlflow.data.context", "training")])])
        signature = mlflow.models.infer_signature(example)
        needs = [f"scikit-learn=={sklearn.__version__}"]
        info = mlflow.sklearn.log_model(model, name="model", signature=signature, serialization_format="cloudpickle", pip_requirements=needs)
    tags = {"feature_service": SERVICE, "feature_snapshot_id": snapshot}
    return mlflow.register_model(info.model_uri, MODEL, tags=tags).version


def trained(client, snapshot):
    """The version that was trained on a snapshot and its AUC: a task that is run again trains nothing twice."""
    for v in client.search_model_versions(f"name = '{MODEL}' and tags.feature_snapshot_id = '{snapshot}'"):
        return v.version, client.get_run(v.run_id).data.metrics["auc"]
    return None


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("file")
    p.add_argument("--least-auc", type=float, default=0.6, help="what a champion must reach")
    a = p.parse_args()
    train, test, snapshot = read(a.file)
    client = mlflow.MlflowClient()
    if found := trained(client, snapshot):
        version, auc = found
    else:
        model = fit(train)
        auc = roc_auc_score(test.churned, model.predict_proba(features(test))[:, 1])
        version = log(client, model, auc, len(train) + len(test), features(test).head(5), snapshot)
    if auc < a.least_auc:
        raise SystemExit(f"version {version} has an AUC of {auc:.3f}, less than {a.least_auc}: the champion stays")
    client.set_registered_model_alias(MODEL, ALIAS, version)
    print(json.dumps({"version": str(version), "auc": round(auc, 4), "snapshot": snapshot}))


if __name__ == "__main__":
    main()
