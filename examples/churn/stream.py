"""The billing system: publishes customer records, and writes down later who left.

    python stream.py --start 2026-01-05T00:00:00Z --hours 4               the customers that the telecom has
    python stream.py --start 2026-01-05T04:00:00Z --hours 2 --campaign    a campaign brings others

Records go through Weir's HTTP port, which puts them into the topic; a producer of yours would write to Kafka itself.
Labels are appended to a CSV (CHURN_LABELS), as an export of the billing system would have them.
"""

import argparse
import csv
import datetime
import json
import os
import random
import urllib.error
import urllib.request

import customers

PER_HOUR = 1500
RECORD = ["customer_id", "tenure", "monthly_charges", "total_charges", "contract", "internet", "payment_method", "gender"]


def hour(people, start):
    """The records of one hour: the same for the same hour."""
    rng = random.Random(start.timestamp())
    for i in range(PER_HOUR):
        at = start + datetime.timedelta(hours=1) * i / PER_HOUR
        yield at, rng.choice(people)


def text(at):
    return at.isoformat().replace("+00:00", "Z")


def publish(weir, rows):
    """Returns once every row was checked, stored and can be looked up."""
    columns = {name: [c[name] for _, c in rows] for name in RECORD}
    columns["event_time"] = columns["created"] = [text(at) for at, _ in rows]
    body = json.dumps({"push_source_name": "customers", "df": columns}).encode()
    try:
        urllib.request.urlopen(urllib.request.Request(weir + "/push", body, {"Content-Type": "application/json"}), timeout=60).close()
    except urllib.error.HTTPError as e:
        raise SystemExit(f"weir: {e.code} {e.read().decode()}") from None


def label(path, rows):
    """Of each record, a minute later, whether the customer left."""
    new = not os.path.exists(path)
    with open(path, "a", newline="") as f:
        w = csv.writer(f)
        if new:
            w.writerow(["customer_id", "event_timestamp", "churned"])
        w.writerows([c["customer_id"], text(at + datetime.timedelta(minutes=1)), int(c["churned"])] for at, c in rows)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--weir", default=os.environ.get("CHURN_HTTP", "http://127.0.0.1:6566"))
    p.add_argument("--labels", default=os.environ.get("CHURN_LABELS", "labels.csv"))
    p.add_argument("--start", type=datetime.datetime.fromisoformat, required=True)
    p.add_argument("--hours", type=int, default=1)
    p.add_argument("--campaign", action="store_true", help="newcomers instead of loyal customers")
    a = p.parse_args()
    everybody = customers.load()
    people = customers.newcomers(everybody) if a.campaign else customers.loyal(everybody)
    for h in range(a.hours):
        rows = list(hour(people, a.start + datetime.timedelta(hours=h)))
        label(a.labels, rows)
        publish(a.weir, rows)
        print(f"{text(rows[0][0])}: {len(rows)} records", flush=True)


if __name__ == "__main__":
    main()
