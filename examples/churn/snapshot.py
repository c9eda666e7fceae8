"""A training set from Weir: each label with the customer's features as they were known at that time.

    python snapshot.py [--since TIME] [--out FOLDER]

Prints {"snapshot": id, "file": path, "rows": n}. The file says of itself which snapshot it is, and which rows are for testing.
"""

import argparse
import datetime
import json
import os

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from pyarrow import flight

SERVICE = "churn"


def spine(labels, since=None):
    table = pa.csv.read_csv(labels, convert_options=pa.csv.ConvertOptions(column_types={"event_timestamp": pa.timestamp("us", "UTC")}))
    return table.filter(pc.field("event_timestamp") >= since) if since else table


def create(weir, spine):
    command = {"service": SERVICE, "split": [{"name": "train", "share": 80}, {"name": "test", "share": 20}]}
    to, back = flight.connect(weir).do_exchange(flight.FlightDescriptor.for_command(json.dumps(command).encode()))
    with to:
        to.begin(spine.schema)
        to.write_table(spine)
        to.done_writing()
        return back.read_all()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--weir", default=os.environ.get("CHURN_GRPC", "grpc://127.0.0.1:6567"))
    p.add_argument("--labels", default=os.environ.get("CHURN_LABELS", "labels.csv"))
    p.add_argument("--since", type=datetime.datetime.fromisoformat, help="only labels from this time on")
    p.add_argument("--out", default=".")
    a = p.parse_args()
    table = create(a.weir, spine(a.labels, a.since))
    snapshot = table.schema.metadata[b"weir.snapshot"].decode()
    path = os.path.join(a.out, snapshot + ".parquet")
    pq.write_table(table, path)  # the schema's metadata go along
    print(json.dumps({"snapshot": snapshot, "file": path, "rows": table.num_rows}))


if __name__ == "__main__":
    main()
