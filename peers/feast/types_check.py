"""Columns of every kind through an exchange, for peers/flight_test.go; fails where one comes back changed."""

import datetime
import decimal
import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
from pyarrow import flight

weir = flight.connect("grpc://" + sys.argv[1])


def exchange(spine, command=b'{"service": "delays"}'):
    to, back = weir.do_exchange(flight.FlightDescriptor.for_command(command))
    to.begin(spine.schema)
    to.write_table(spine)
    to.done_writing()
    out = back.read_all()
    out.validate(full=True)
    assert out.num_rows == spine.num_rows
    return out


def refused(kind, text, spine, command=b'{"service": "delays"}'):
    try:
        exchange(spine, command)
    except kind as e:
        assert text in str(e), e
    else:
        raise AssertionError(f"{text}: not refused")


n = 1000
keys = pa.array((["EWR", "JFK", None, "LGA"] * n)[:n])
times = pa.array(pd.date_range("2026-01-05T05:00", periods=n, freq="7s", tz="UTC").as_unit("us"))
base = pa.table({"origin": keys, "event_timestamp": times})
want = exchange(base)
assert 0 < want.column("temp").null_count < n

extras = {
    "dictionary": pa.array([f"c{i % 5}" for i in range(n)]).dictionary_encode(),
    "large_string": pa.array([f"x{i}" for i in range(n)], pa.large_string()),
    "string_view": pa.array([f"some long text number {i}" for i in range(n)], pa.string_view()),
    "binary_view": pa.array([b"x" * (i % 30) for i in range(n)], pa.binary_view()),
    "date": pa.array([datetime.date(2026, 1, 1)] * n),
    "decimal": pa.array([decimal.Decimal("1.25")] * n),
    "time": pa.array([datetime.time(1, 2)] * n),
    "duration": pa.array([datetime.timedelta(1)] * n),
    "list": pa.array([[i, 2] for i in range(n)]),
    "struct": pa.array([{"a": i} for i in range(n)]),
    "null": pa.nulls(n),
    "uint64": pa.array(np.arange(n, dtype="uint64")),
    "uint8": pa.array(np.arange(n) % 256, pa.uint8()),
    "uint32": pa.array(np.arange(n, dtype="uint32") + 2**31),
    "half": pa.array(np.ones(n, "float16")),
    "float32": pa.array(np.linspace(0, 1, n, dtype="float32")),
    "large_list": pa.array([["a"], None] * (n // 2), pa.large_list(pa.string())),
    "bool": pa.array([True, None] * (n // 2)),
    "zone": times.cast(pa.timestamp("ns", "Europe/Berlin")),
}
for record in (b"true", b"false"):
    command = b'{"service": "delays", "record": %s}' % record
    for name, column in extras.items():
        out = exchange(base.append_column(name, column), command)
        got = out.column(name).combine_chunks()
        assert got.type == column.type, (name, got.type)
        assert got.to_pylist() == column.to_pylist(), name
        assert out.column("temp").equals(want.column("temp")), name
        out.to_pandas()

in_seconds = times.cast(pa.timestamp("s", "UTC"))  # the times are whole seconds
for column in (
    times.cast(pa.timestamp("ns")), times.cast(pa.timestamp("us")), times.cast(pa.timestamp("ns", "Europe/Berlin")),
    in_seconds, times.cast(pa.timestamp("ms", "Asia/Kolkata")), in_seconds.cast(pa.timestamp("s")),
    pa.array([x.as_py().isoformat() for x in times]), pa.array([x.as_py().isoformat() for x in times], pa.large_string()),
):  # fmt: skip
    assert exchange(pa.table({"origin": keys, "event_timestamp": column})).column("temp").equals(want.column("temp")), column.type
for column in (keys.cast(pa.large_string()), keys.cast(pa.string_view()), keys.dictionary_encode(), pa.DictionaryArray.from_arrays(
        pa.array([{"EWR": 2, "JFK": 0, None: None, "LGA": 1}[k] for k in keys.to_pylist()], pa.uint16()), pa.array(["JFK", "LGA", "EWR"], pa.large_string()))):
    out = exchange(pa.table({"origin": column, "event_timestamp": times}))
    assert out.column("temp").equals(want.column("temp")) and out.column("origin").to_pylist() == keys.to_pylist(), column.type
for codec in ("zstd", "lz4"):
    to, back = weir.do_exchange(flight.FlightDescriptor.for_command(b'{"service": "delays", "record": false}'),
                                flight.FlightCallOptions(write_options=pa.ipc.IpcWriteOptions(compression=codec)))
    to.begin(base.schema)
    to.write_table(base)
    to.done_writing()
    assert back.read_all().column("temp").equals(want.column("temp")), codec
us = exchange(pa.table({"origin": keys, "t": times.cast(pa.int64())}), b'{"service": "delays", "time_column": "t", "time_unit": "us"}')
assert us.column("temp").equals(want.column("temp"))

# A dictionary that changes on the way, pandas' index and categories, Polars' own.
parts = pa.concat_tables([base.slice(0, 500).append_column("d", pa.array(["a", "b"] * 250).dictionary_encode()),
                          base.slice(500).append_column("d", pa.array(["c", "a"] * 250).dictionary_encode())])
assert exchange(parts).column("d").to_pylist() == ["a", "b"] * 250 + ["c", "a"] * 250
df = base.to_pandas().assign(kind=pd.Categorical(["x", "y"] * (n // 2)))
df.index = range(2 * n, n, -1)
out = exchange(pa.Table.from_pandas(df)).to_pandas()
assert (out.index == df.index).all() and str(out.kind.dtype) == "category"
out = pl.from_arrow(exchange(pl.from_arrow(base).with_columns(pl.lit("k").cast(pl.Categorical).alias("kind")).to_arrow()))
assert out["kind"].dtype == pl.Categorical and out.height == n
out = exchange(pa.Table.from_pandas(base.to_pandas().astype({"origin": "category"}), preserve_index=False))
assert out.column("temp").equals(want.column("temp")) and str(out.to_pandas().origin.dtype) == "category"
assert exchange(base.slice(0, 0)).num_rows == 0

# Three million rows, in one message and in many; then a client that goes away while the join runs.
large = pa.concat_tables([base] * 3000).combine_chunks()
out = exchange(large, b'{"service": "delays", "record": false}')
assert out.column("temp").equals(pa.concat_tables([want] * 3000).column("temp"))
to, back = weir.do_exchange(flight.FlightDescriptor.for_command(b'{"service": "delays", "record": false}'))
to.begin(large.schema)
to.write_table(large, max_chunksize=100_000)
to.done_writing()
back.cancel()

split = exchange(base, b'{"service": "delays", "split": [{"name": "train", "share": 75}, {"name": "test", "share": 25}]}')
assert set(split.column("split").to_pylist()) == {"train", "test"}

refused(KeyError, "did you mean", base, b'{"service": "delay"}')
refused(pa.ArrowInvalid, "unknown field", base, b'{"service": "delays", "tiem": "event"}')
refused(pa.ArrowInvalid, "is missing", base.drop(["origin"]))
refused(pa.ArrowInvalid, "not an int64", base.append_column("u", pa.array(np.full(n, 2**63 + 5, dtype="uint64"))))
refused(pa.ArrowInvalid, "event_timestamp", base.rename_columns(["origin", "at"]))
refused(pa.ArrowInvalid, "union", base.append_column("u", pa.UnionArray.from_sparse(pa.array([0] * n, pa.int8()), [pa.array(range(n))])))
refused(KeyError, "nope", base, b'{"features": ["nope:x"]}')
assert [f.descriptor.path for f in weir.list_flights()] == [[b"default", b"delays"]]
print("all the same")
