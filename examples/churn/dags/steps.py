"""The steps that all DAGs of the example have in common: scripts of this folder, in their own Python environment.

CHURN_PYTHON is the environment's interpreter, CHURN_WORK a folder for training sets; CHURN_GRPC, MLFLOW_TRACKING_URI and
CHURN_LABELS are what the scripts read.
"""

import datetime
import json
import os
import pathlib
import subprocess

from airflow.sdk import task

AGAIN = {"retries": 3, "retry_delay": datetime.timedelta(seconds=10)}  # servers restart
SCRIPTS = pathlib.Path(__file__).resolve().parent.parent


def run(script, *args):
    """Runs a script and returns what its last line says. No shell: what an event says stays an argument."""
    command = [os.environ.get("CHURN_PYTHON", "python"), str(SCRIPTS / script), *args]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(out.splitlines()[-1])


def take_snapshot(since=None):
    return run("snapshot.py", "--out", os.environ.get("CHURN_WORK", "."), *([f"--since={since}"] if since else []))


@task
def train(snapshot):
    return run("train.py", snapshot["file"])
