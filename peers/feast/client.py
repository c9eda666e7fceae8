"""Feast's SDK against a running Weir, for peers/feast_test.go.

    client.py FOLDER HOST PORT < requests > answers

FOLDER becomes a Feast repository. A line of the input is a request (JSON with "do"), a line of the output its
answer: {"ok": ...} or {"error": class, "text": ...}.
"""

import json
import sys
import threading
import traceback
import warnings

warnings.filterwarnings("ignore")

import pandas as pd
import pyarrow as pa
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.infra.offline_stores.remote import build_arrow_flight_client
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64, Int64, String
from pyarrow import flight

folder, host, port = sys.argv[1], sys.argv[2], int(sys.argv[3])


def open_store():
    return FeatureStore(
        config=RepoConfig(
            project="rides",
            provider="local",
            registry=f"{folder}/registry.db",
            online_store={"type": "sqlite", "path": f"{folder}/online.db"},
            offline_store={"type": "remote", "host": host, "port": port},
            entity_key_serialization_version=3,
        )
    )


def define(_):
    driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
    region = Entity(name="region", join_keys=["region"], value_type=ValueType.STRING)
    source = lambda name: FileSource(name=name, path=f"{folder}/none.parquet", timestamp_field="at")
    stats = FeatureView(
        name="driver_stats",
        entities=[driver],
        schema=[Field(name="trips", dtype=Int64), Field(name="rating", dtype=Float64), Field(name="city", dtype=String),
                Field(name="bonus", dtype=Int64)],  # Weir knows no such feature
        source=source("driver_stats"),
    )
    # Without a schema: the SDK asks the offline store for the source's columns.
    level = FeatureView(name="driver_level", entities=[driver], source=source("driver_level"))
    regions = FeatureView(name="region_stats", entities=[region], schema=[Field(name="region_rating", dtype=Float64)], source=source("region_stats"))
    pairs = FeatureView(name="pair_stats", entities=[driver, region], schema=[Field(name="pair_trips", dtype=Int64)], source=source("pair_stats"))
    ghost = FeatureView(name="ghost", entities=[driver], schema=[Field(name="x", dtype=Int64)], source=source("ghost"))

    @on_demand_feature_view(sources=[stats], schema=[Field(name="twice", dtype=Float64)])
    def doubled(inputs: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"twice": inputs["rating"] * 2})

    model = FeatureService(name="model", features=[level[["level"]], stats[["rating", "city"]]])
    named = FeatureService(name="named", features=[stats.with_name("recent")[["trips"]]])
    places = FeatureService(name="places", features=[regions, pairs])
    store = open_store()
    store.apply([driver, region, stats, level, regions, pairs, ghost, doubled, model, named, places])
    return sorted(f"{v.name}:{f.name} {f.dtype}" for v in store.list_feature_views() for f in v.features)


def rows(r):
    df = pd.DataFrame(r["rows"])
    df["event_timestamp"] = pd.to_datetime(df["event_timestamp"], unit="us", utc=True)
    if r.get("index"):
        df.index = range(len(df), 0, -1)
    if r.get("zone"):
        df["event_timestamp"] = df["event_timestamp"].dt.tz_convert(r["zone"])
    if r.get("text"):
        df[r["text"]] = df[r["text"]].astype(str)
    if r.get("naive"):
        df["event_timestamp"] = df["event_timestamp"].dt.tz_localize(None)
    if r.get("time"):
        df = df.rename(columns={"event_timestamp": r["time"]})
    if r.get("drop"):
        df = df.drop(columns=r["drop"])
    return df


def plain(x):
    if hasattr(x, "tolist"):  # a list or a number of numpy's
        x = x.tolist()
    return None if not isinstance(x, list) and pd.isna(x) else x


def table(df):
    """A data frame as columns of plain values; times in microseconds."""
    out = {}
    for name in df.columns:
        c = df[name]
        if isinstance(c.dtype, pd.DatetimeTZDtype) or str(c.dtype).startswith("datetime64"):
            out[name] = [int(x.value // 1000) for x in c]
        else:
            out[name] = [plain(x) for x in c]
    return {"columns": list(df.columns), "values": out}


def job(r, store=None):
    store = store or open_store()
    features = store.get_feature_service(r["service"]) if "service" in r else r["features"]
    if "sql" in r:
        return store.get_historical_features(r["sql"], features)
    if "range" in r:
        start, end = (pd.Timestamp(x, unit="us", tz="UTC").to_pydatetime() for x in r["range"])
        return store.get_historical_features(None, features, start_date=start, end_date=end)
    return store.get_historical_features(rows(r), features, full_feature_names=r.get("full", False))


def history(r):
    return table(job(r).to_df())


def to_arrow(r):
    t = job(r).to_arrow()
    return {"names": [n for n in t.column_names], "rows": t.num_rows, "types": [str(f.type) for f in t.schema]}


def large(r):
    """The rows many times over get what they get once, many times over."""
    once, df = job(r).to_df(), rows(r)
    many = pd.concat([df] * r["times"], ignore_index=True)
    got = open_store().get_historical_features(many, r["features"]).to_df()
    return {"rows": len(got), "same": got.equals(pd.concat([once] * r["times"], ignore_index=True))}


def both(r):
    """Two clients at once, several times; each has to get the same."""
    want, bad = json.dumps(history(r)), []

    def client():
        try:
            store = open_store()
            for _ in range(5):
                if json.dumps(table(job(r, store).to_df())) != want:
                    bad.append("another answer")
        except Exception as e:
            bad.append(repr(e))

    threads = [threading.Thread(target=client) for _ in range(2)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    return bad


def older(r):
    """As SDKs before 0.67 fetch: the table first, then a ticket."""
    store = open_store()
    client = build_arrow_flight_client("http", host, port, store.config.auth_config)
    descriptor = flight.FlightDescriptor.for_command(
        json.dumps(
            {
                "command_id": "b0a1",
                "api": "get_historical_features",
                "feature_view_names": ["driver_stats"],
                "feature_refs": r["features"],
                "project": "rides",
                "full_feature_names": False,
                "name_aliases": [None],
            }
        )
    )
    entities = pa.Table.from_pandas(rows(r))
    writer, _ = client.do_put(descriptor, entities.schema)
    writer.write_table(entities)
    writer.close()
    info = client.get_flight_info(descriptor)
    return table(client.do_get(info.endpoints[0].ticket).read_all().to_pandas().reset_index(drop=True))


def persist(r):
    job(r).persist(SavedDatasetFileStorage(path=f"{folder}/saved.parquet"))


def materialize(_):
    store = open_store()
    store.materialize(pd.Timestamp("2026-01-01").to_pydatetime(), pd.Timestamp("2026-02-01").to_pydatetime(), feature_views=["driver_stats"])


def latest(_):
    store = open_store()
    start, end = pd.Timestamp("2026-01-01", tz="UTC"), pd.Timestamp("2026-02-01", tz="UTC")
    source = store.get_feature_view("driver_stats").batch_source
    store._get_provider().offline_store.pull_latest_from_table_or_query(
        config=store.config, data_source=source, join_key_columns=["driver_id"], feature_name_columns=["trips"],
        timestamp_field="at", created_timestamp_column=None, start_date=start, end_date=end).to_df()


def write(_):
    store = open_store()
    df = pd.DataFrame({"driver_id": [1], "trips": [1], "rating": [1.0], "city": ["x"], "at": [pd.Timestamp("2026-01-01", tz="UTC")]})
    store.write_to_offline_store("driver_stats", df, allow_registry_cache=False)


actions = {f.__name__: f for f in (define, history, to_arrow, large, both, older, persist, materialize, latest, write)}
answers = sys.stdout
sys.stdout = sys.stderr  # the SDK prints
for line in sys.stdin:
    request = json.loads(line)
    try:
        answer = {"ok": actions[request["do"]](request)}
    except Exception as e:
        traceback.print_exc()
        answer = {"error": type(e).__name__, "text": str(e)}
    print(json.dumps(answer), file=answers, flush=True)
