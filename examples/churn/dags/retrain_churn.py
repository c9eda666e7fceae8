"""Retrains the churn model when Weir asks for it. Weir starts this DAG over Airflow's REST API, with the event as conf.

The run's id is made of the event's: an event that is sent twice starts one run.
"""

from airflow.sdk import dag, task

from steps import AGAIN, take_snapshot, train


@dag(schedule=None, max_active_runs=1, default_args=AGAIN)
def retrain_churn():
    @task
    def snapshot(dag_run=None):
        """Of what came since the drift began; started by hand, of everything."""
        return take_snapshot((dag_run.conf or {}).get("data", {}).get("since"))

    train(snapshot())


retrain_churn()
