"""The same without Weir knowing Airflow at all: Airflow reads the events' topic itself.

Nothing to configure in Weir, and less to rely on: Airflow commits a message's offset before it starts a run, so that a triggerer that
is killed in between loses the event; and it starts a run for each message, so that an event sent twice trains twice. A run for each
asked-for retraining, exactly one, is what retrain_churn.py gives. Use one of the two.

Needs the connection kafka_default: {"bootstrap.servers": "...", "group.id": "airflow-churn", "auto.offset.reset": "earliest", "enable.auto.commit": false}
"""

import os

from airflow.providers.apache.kafka.triggers.msg_queue import KafkaMessageQueueTrigger
from airflow.sdk import Asset, AssetWatcher, dag, task

from steps import AGAIN, take_snapshot, train

trigger = KafkaMessageQueueTrigger(
    topics=[os.environ.get("CHURN_EVENTS", "weir.default.events")],
    apply_function="retraining_event.retraining_event",
    poll_interval=1,
)
asked = Asset("churn_retraining_asked", watchers=[AssetWatcher(name="weir_events", trigger=trigger)])


@dag(schedule=[asked], max_active_runs=1, default_args=AGAIN)
def retrain_churn_from_kafka():
    @task
    def snapshot(triggering_asset_events=None):
        return take_snapshot(triggering_asset_events[asked][-1].extra["payload"]["data"]["since"])

    train(snapshot())


retrain_churn_from_kafka()
