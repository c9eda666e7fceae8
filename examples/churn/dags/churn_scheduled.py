"""Without any event: a training set each week, and a training whenever there is a new one."""

import datetime

from airflow.sdk import Asset, dag, task

from steps import AGAIN, take_snapshot, train

training_set = Asset("churn_training_set")


@dag(schedule="@weekly", start_date=datetime.datetime(2026, 1, 1), catchup=False, default_args=AGAIN)
def churn_snapshot():
    @task(outlets=[training_set])
    def snapshot(outlet_events=None):
        taken = take_snapshot()
        outlet_events[training_set].extra = taken
        return taken

    snapshot()


@dag(schedule=[training_set], max_active_runs=1, default_args=AGAIN)
def churn_train():
    @task
    def newest(triggering_asset_events=None):
        return triggering_asset_events[training_set][-1].extra

    train(newest())


churn_snapshot()
churn_train()
