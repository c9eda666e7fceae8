import os
import tempfile
import unittest
import unittest.mock
import warnings

import mlflow
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

import customers
import train


def training_set(path, snapshot, people):
    """A file as snapshot.py writes it."""
    df = pd.DataFrame(people)
    df["event_timestamp"] = pd.Timestamp("2026-01-05", tz="UTC")
    df["split"] = ["test" if i % 5 == 0 else "train" for i in range(len(df))]
    table = pa.Table.from_pandas(df, preserve_index=False)
    pq.write_table(table.replace_schema_metadata(table.schema.metadata | {b"weir.snapshot": snapshot.encode()}), path)
    return path


def main(*args):
    with unittest.mock.patch("sys.argv", ["train.py", *args]), warnings.catch_warnings(action="ignore"):
        train.main()


class Train(unittest.TestCase):
    def test_a_version_says_what_it_was_trained_on(self):
        there = os.getcwd()
        os.chdir(self.enterContext(tempfile.TemporaryDirectory()))
        self.addCleanup(os.chdir, there)
        mlflow.set_tracking_uri("sqlite:///mlflow.db")
        registry = mlflow.MlflowClient()

        main(training_set("a.parquet", "snap1", customers.synthetic(2000)))
        champion = registry.get_model_version_by_alias("churn", "champion")
        self.assertEqual(str(champion.version), "1")
        self.assertEqual(champion.tags, {"feature_service": "churn", "feature_snapshot_id": "snap1"})
        run = registry.get_run(champion.run_id)
        self.assertTrue(0.6 < run.data.metrics["auc"] <= 1)
        [used] = run.inputs.dataset_inputs
        self.assertEqual((used.dataset.digest, used.dataset.source_type), ("snap1", "featurestore"))
        self.assertEqual([(t.key, t.value) for t in used.tags], [("mlflow.data.context", "training")])

        # A task that is run again makes no second version, and sets what the first has not come to.
        registry.delete_registered_model_alias("churn", "champion")
        main("a.parquet")
        self.assertEqual(str(registry.get_model_version_by_alias("churn", "champion").version), "1")

        # Of a version that cannot tell who leaves there is a record, and no champion.
        noise = [c | {"churned": i % 2 == 0} for i, c in enumerate(customers.synthetic(1500, seed=8))]
        with self.assertRaisesRegex(SystemExit, "the champion stays"):
            main(training_set("b.parquet", "snap2", noise))
        self.assertEqual(registry.get_model_version("churn", "2").tags["feature_snapshot_id"], "snap2")
        self.assertEqual(str(registry.get_model_version_by_alias("churn", "champion").version), "1")

        # What is looked up is what the model takes, in the order of the service.
        model = mlflow.sklearn.load_model("models:/churn@champion")
        self.assertEqual(list(model.feature_names_in_), ["tenure", "monthly_charges", "total_charges", "contract", "internet", "payment_method", "gender"])
