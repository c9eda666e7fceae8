"""Lists of a training set as pyarrow, pandas and Polars see them, for peers/lists_test.go.

    lists_check.py ADDRESS FOLDER

FOLDER has the same set as set.parquet, set.arrow, set.jsonl and set.csv. Fails where one is not what was sent.
"""

import datetime
import json
import sys

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import flight

address, folder = sys.argv[1:]
moment = datetime.datetime(2026, 1, 2, 3, 4, 5, 678901, datetime.timezone.utc)
want = {
    "vec": [[0.5, -1.25], [], None, None],
    "tags": [["é", ""], [], None, None],
    "n": [[-(2**63), 2**63 - 1], [], None, None],
    "seen": [[moment], [], None, None],
    "raw": [[b"\x00\x01", b""], [], None, None],
}
elements = {"vec": pa.float32(), "tags": pa.string(), "n": pa.int64(), "seen": pa.timestamp("us", "UTC"), "raw": pa.binary()}
polars_elements = {"vec": pl.Float32, "tags": pl.String, "n": pl.Int64, "seen": pl.Datetime("us", "UTC"), "raw": pl.Binary}


def check(t):
    t.validate(full=True)
    for name, column in want.items():
        assert t.schema.field(name).type.value_type == elements[name], (name, t.schema.field(name).type)
        assert not t.schema.field(name).type.value_field.nullable, name
        assert t.column(name).to_pylist() == column, (name, t.column(name).to_pylist())
    assert t.column("carried").to_pylist() == [[1, 2], None, [], [3]]
    df = t.to_pandas()
    assert [None if x is None else list(x) for x in df.vec] == want["vec"]
    check_polars(pl.from_arrow(t))


def check_polars(df):
    for name, column in want.items():
        assert df[name].dtype == pl.List(polars_elements[name]), (name, df[name].dtype)
        assert df[name].to_list() == column, (name, df[name].to_list())


spine = pa.table({
    "id": ["a", "b", "c", "nobody"],
    "event_timestamp": pa.array([datetime.datetime(2026, 2, 1)] * 4, pa.timestamp("us", "UTC")),
    "carried": pa.array([[1, 2], None, [], [3]], pa.list_(pa.field("item", pa.int64(), nullable=False))),
})
to, back = flight.connect("grpc://" + address).do_exchange(flight.FlightDescriptor.for_command(b'{"service": "lists"}'))
to.begin(spine.schema)
to.write_table(spine)
to.done_writing()
check(back.read_all())

check(pq.read_table(folder + "/set.parquet"))
check_polars(pl.read_parquet(folder + "/set.parquet"))
assert [None if x is None else list(x) for x in pd.read_parquet(folder + "/set.parquet").tags] == want["tags"]
check(pa.ipc.open_stream(folder + "/set.arrow").read_all())
lines = [json.loads(line) for line in open(folder + "/set.jsonl")]
cells = pd.read_csv(folder + "/set.csv", keep_default_na=False)
for name in ("vec", "tags", "n"):
    assert [line[name] for line in lines] == want[name], name
    assert [json.loads(x) if x else None for x in cells[name]] == want[name], name
print("all the same")
