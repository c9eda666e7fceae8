"""Feast's SDK writing into a Redis, for peers/feast_redis_test.go.

    redis_writer.py FOLDER host:port VERSION OFFSET

Writes rows of every scalar type and lists of each, nulls among them, some by materializing a file, some pushed, with entity keys of
VERSION; OFFSET is added to the keys and the times. Prints what Feast itself answers for them: a line of JSON with
the entities, the features' values (bytes as hex, times in seconds), and the event times in microseconds.
"""

import json
import math
import sys
import warnings

warnings.filterwarnings("ignore")

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Array, Bool, Bytes, Float32, Float64, Int32, Int64, String, UnixTimestamp

folder, address, version, offset = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
store = FeatureStore(
    config=RepoConfig(
        project="rides",
        provider="local",
        registry=f"{folder}/registry.db",
        online_store={"type": "redis", "connection_string": address},
        entity_key_serialization_version=version,
    )
)
driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
region = Entity(name="region", join_keys=["region"], value_type=ValueType.STRING)
types = {"i32": Int32, "i64": Int64, "f32": Float32, "f64": Float64, "s": String, "y": Bytes, "b": Bool, "t": UnixTimestamp}
n = 50
base = pd.Timestamp("2026-03-04T05:06:07.891234", tz="UTC") + pd.Timedelta(seconds=offset)
drivers = [offset + i for i in range(n)]


# A column with nulls reaches Feast as floats: no integer above 2**53 would stay what it is.
def nulls(values, at):
    return [None if i % 7 == at else v for i, v in enumerate(values)]


rows = pd.DataFrame(
    {
        "driver_id": drivers,
        "at": [base + pd.Timedelta(seconds=i) for i in range(n)],
        "i32": pd.array(nulls([(-1) ** i * (2**31 - 1 - i) for i in range(n)], 0), dtype="Int32"),
        "i64": pd.array(nulls([(-1) ** i * (2**53 - i) for i in range(n)], 1), dtype="Int64"),
        "f32": pd.array(nulls([i / 7 for i in range(n)], 2), dtype="Float32"),
        "f64": nulls([math.exp(i * 10 - 250) for i in range(n)], 3),
        "s": nulls([f"größe <{i}>\n\t\"" for i in range(n)], 4),
        "y": nulls([bytes([i, 0, 255]) for i in range(n)], 5),
        "b": pd.array(nulls([i % 2 == 0 for i in range(n)], 6), dtype="boolean"),
        "t": [pd.Timestamp(1_700_000_000 + i, unit="s", tz="UTC") for i in range(n)],
    }
)
rows.to_parquet(f"{folder}/rows.parquet")
everything = FeatureView(
    name="everything",
    entities=[driver],
    schema=[Field(name=k, dtype=t) for k, t in types.items()],
    source=FileSource(name="everything", path=f"{folder}/rows.parquet", timestamp_field="at"),
)
pairs = FeatureView(
    name="pairs",
    entities=[region, driver],
    schema=[Field(name="share", dtype=Float64)],
    source=FileSource(name="pairs", path=f"{folder}/none.parquet", timestamp_field="at"),
)
lists = FeatureView(
    name="lists",
    entities=[driver],
    schema=[Field(name="embedding", dtype=Array(Float32)), Field(name="n", dtype=Int64)],
    source=FileSource(name="lists", path=f"{folder}/none.parquet", timestamp_field="at"),
)
arrays = FeatureView(
    name="arrays",
    entities=[driver],
    schema=[Field(name="a_" + k, dtype=Array(t)) for k, t in types.items()],
    source=FileSource(name="arrays", path=f"{folder}/none.parquet", timestamp_field="at"),
)
store.apply([driver, region, everything, pairs, lists, arrays])
store.materialize((base - pd.Timedelta(days=1)).to_pydatetime(), (base + pd.Timedelta(days=1)).to_pydatetime(), feature_views=["everything"])
regions = ["eu", "", "größe=1,2"]
store.write_to_online_store("pairs", pd.DataFrame({"region": [regions[i % 3] for i in range(n)], "driver_id": drivers, "share": [1 / (i + 1) for i in range(n)], "at": [base] * n}))
store.write_to_online_store("lists", pd.DataFrame({"driver_id": drivers[:2], "embedding": [[0.5, 1.5], [2.5, 3.5]], "n": [1, 2], "at": [base] * 2}))
elements = {
    "i32": lambda i: (-1) ** i * (2**31 - 1 - i), "i64": lambda i: (-1) ** i * (2**53 + i), "f32": lambda i: i / 8, "f64": lambda i: math.exp(i * 10 - 250),
    "s": lambda i: f"größe <{i}>\n\t\"", "y": lambda i: bytes([i % 256, 0, 255]), "b": lambda i: i % 2 == 0, "t": lambda i: pd.Timestamp(1_700_000_000 + i, unit="s", tz="UTC").to_pydatetime(),
}
store.write_to_online_store(
    "arrays",
    pd.DataFrame(
        {"driver_id": drivers, "at": [base] * n}
        | {"a_" + k: pd.Series(nulls([[f(j) for j in range(i, i + i % 4)] for i in range(n)], at), dtype=object) for at, (k, f) in enumerate(elements.items())}
    ),
)

answer = store.get_online_features(
    features=[f"everything:{k}" for k in types] + [f"arrays:a_{k}" for k in types] + ["pairs:share"],
    entity_rows=[{"driver_id": d, "region": regions[i % 3]} for i, d in enumerate(drivers)],
).proto


def plain(v):
    kind = v.WhichOneof("val")
    if kind in (None, "null_val"):
        return None
    x = getattr(v, kind)
    if kind.endswith("_list_val"):
        return [e.hex() if isinstance(e, bytes) else e for e in x.val]
    return x.hex() if kind == "bytes_val" else x


names = list(answer.metadata.feature_names.val)
out = {
    "entities": [{"driver_id": str(d), "region": regions[i % 3]} for i, d in enumerate(drivers)],
    "values": {name: [plain(v) for v in r.values] for name, r in zip(names, answer.results) if name not in ("driver_id", "region")},
    "times": {name: [t.seconds * 1_000_000 + t.nanos // 1000 for t in r.event_timestamps] for name, r in zip(names, answer.results)},
}
print(json.dumps(out))
