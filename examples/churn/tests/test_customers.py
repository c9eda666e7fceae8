import datetime
import json
import pathlib
import statistics
import tempfile
import unittest

import customers
import stream
from retraining_event import PIPELINE, retraining_event


class Message:
    def __init__(self, value):
        self.value = lambda: value


def event(type="io.weir.drift.detected.v1", **data):
    return Message(json.dumps({"id": "1", "type": type, "data": data}).encode())


class Customers(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def test_the_campaign_brings_others(self):
        everybody = customers.synthetic()
        self.assertEqual(everybody, customers.synthetic())
        old, new = customers.loyal(everybody), customers.newcomers(everybody)
        self.assertTrue(len(old) > 4000 and len(new) > 400)
        self.assertFalse({c["customer_id"] for c in old} & {c["customer_id"] for c in new})
        for people in (old, new):  # both leave and stay, so that a model can be trained on either
            self.assertTrue(0.05 < statistics.mean(c["churned"] for c in people) < 0.8)
        monthly = [statistics.mean(c["contract"] == "Month-to-month" for c in people) for people in (old, new)]
        self.assertGreater(monthly[1] - monthly[0], 0.25)
        women = [statistics.mean(c["gender"] == "Female" for c in people) for people in (old, new)]
        self.assertLess(abs(women[1] - women[0]), 0.08)

    def test_the_real_table(self):
        f = self.dir / "telco.csv"
        f.write_text(
            "customerID,gender,tenure,InternetService,Contract,PaymentMethod,MonthlyCharges,TotalCharges,Churn\n"
            "a,Male,0,No,Two year,Mailed check,20.5, ,No\n"
            "b,Female,34,DSL,One year,Mailed check,56.95,1889.5,Yes\n"
        )
        a, b = customers.load(f)
        self.assertEqual((a["total_charges"], a["churned"]), (None, False))
        self.assertEqual((b["monthly_charges"], b["churned"]), (56.95, True))

    def test_an_hour_is_the_same_each_time_and_labels_come_after(self):
        start = datetime.datetime(2026, 1, 5, tzinfo=datetime.UTC)
        people = customers.synthetic(100)
        rows = list(stream.hour(people, start))
        self.assertEqual(rows, list(stream.hour(people, start)))
        self.assertNotEqual([c for _, c in rows], [c for _, c in stream.hour(people, start + datetime.timedelta(hours=1))])
        self.assertEqual(len(rows), stream.PER_HOUR)
        self.assertTrue(all(start <= at < start + datetime.timedelta(hours=1) for at, _ in rows))
        labels = self.dir / "labels.csv"
        stream.label(labels, rows[:2])
        stream.label(labels, rows[2:4])
        lines = labels.read_text().splitlines()
        self.assertEqual((len(lines), lines[0]), (5, "customer_id,event_timestamp,churned"))
        self.assertEqual(lines[1], f"{rows[0][1]['customer_id']},2026-01-05T00:01:00Z,{int(rows[0][1]['churned'])}")

    def test_only_what_asks_for_this_pipeline_starts_it(self):
        asked = {"model": "churn", "pipeline": PIPELINE}
        self.assertEqual(retraining_event(event(retrain=asked))["id"], "1")
        for other in (event(), event(retrain={"pipeline": "another"}), event("io.weir.drift.resolved.v1", retrain=asked), Message(None)):
            self.assertIsNone(retraining_event(other))
