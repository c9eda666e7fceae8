"""Which messages of the events' topic ask for this model's retraining. In Airflow's plugins folder, where its triggerer finds it."""

import json

PIPELINE = "retrain_churn_from_kafka"


def retraining_event(message):
    """The event, where it asks for PIPELINE; else nothing, and Airflow goes on to the next message."""
    event = json.loads(message.value() or b"{}")
    asked = event.get("data", {}).get("retrain") or {}
    return event if event.get("type") == "io.weir.drift.detected.v1" and asked.get("pipeline") == PIPELINE else None
