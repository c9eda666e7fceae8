"""Feast's SDK with a running Weir as its remote online store, for peers/feast_online_test.go.

    online.py FOLDER < requests > answers

FOLDER has a feature_store.yaml and becomes a Feast repository. A line of the input is a request (JSON with "do"), a
line of the output its answer: {"ok": ...} or {"error": class, "text": ...}.
"""

import json
import sys
import traceback
import warnings

warnings.filterwarnings("ignore")

import pandas as pd
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, PushSource, ValueType
from feast.data_source import PushMode
from feast.protos.feast.serving.ServingService_pb2 import FeatureList, GetOnlineFeaturesRequest, GetOnlineFeaturesResponse
from feast.protos.feast.types.Value_pb2 import Int64List, RepeatedValue, Value
from feast.types import Array, Bool, Bytes, Float32, Float64, Int32, Int64, String, UnixTimestamp
from google.protobuf.json_format import MessageToDict

folder = sys.argv[1]


def define(_):
    driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
    town = Entity(name="town", join_keys=["town"], value_type=ValueType.STRING)
    batch = lambda name, time: FileSource(name=name + "_file", path=f"{folder}/none.parquet", timestamp_field=time)
    stats = FeatureView(
        name="stats",
        entities=[driver],
        schema=[Field(name="trips", dtype=Int64), Field(name="rating", dtype=Float64), Field(name="share", dtype=Float32),
                Field(name="city", dtype=String), Field(name="active", dtype=Bool), Field(name="level", dtype=Int32),
                Field(name="joined", dtype=UnixTimestamp)],
        source=batch("stats", "event_timestamp"),
    )
    fares = FeatureView(
        name="fares",
        entities=[driver, town],
        schema=[Field(name="fare", dtype=Float64)],
        source=PushSource(name="fares", batch_source=batch("fares", "event_timestamp")),
    )
    scalars = {"b": Bool, "i": Int32, "l": Int64, "f": Float32, "d": Float64, "s": String, "t": UnixTimestamp}
    lists = FeatureView(name="lists", entities=[driver], schema=[Field(name=k, dtype=Array(t)) for k, t in scalars.items()], source=batch("lists", "event_timestamp"))
    photos = FeatureView(name="photos", entities=[driver], schema=[Field(name="photo", dtype=Bytes)], source=batch("photos", "event_timestamp"))
    ghost = FeatureView(name="ghost", entities=[driver], schema=[Field(name="x", dtype=Int64)], source=batch("ghost", "event_timestamp"))
    model = FeatureService(name="model", features=[fares, stats[["rating", "city"]]])
    lost = FeatureService(name="lost", features=[stats[["trips"]]])
    store = FeatureStore(folder)
    store.apply([driver, town, stats, fares, lists, photos, ghost, model, lost])
    return [v.name for v in store.list_feature_views()]


def frame(r):
    df = pd.DataFrame(r["df"])
    for name in ("event_timestamp", "joined"):
        if name in df:
            df[name] = pd.to_datetime(df[name], utc=True)
    for name in r.get("times", []):
        df[name] = [v and [pd.Timestamp(x) for x in v] for v in df[name]]
    for name, kind in r.get("types", {}).items():
        df[name] = df[name].astype(kind)
    return df


def write(r):
    FeatureStore(folder).write_to_online_store(r["view"], frame(r), allow_registry_cache=False)


def push(r):
    FeatureStore(folder).push(r["source"], frame(r), to=PushMode[r.get("to", "ONLINE")])


def lookup(r):
    store = FeatureStore(folder)
    features = store.get_feature_service(r["service"]) if "service" in r else r["features"]
    got = store.get_online_features(features, r["rows"], full_feature_names=r.get("full", False))
    names = [str(n) for n in got.proto.metadata.feature_names.val]
    return {"values": {k: [v.decode("latin-1") if isinstance(v, bytes) else v for v in vs] for k, vs in got.to_dict().items()},
            "statuses": {n: list(v.statuses) for n, v in zip(names, got.proto.results)}}


def online_read(r):
    """What the SDK does for a view itself, one key."""
    store = FeatureStore(folder)
    view = store.get_feature_view(r["view"])
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey

    keys = [EntityKey(join_keys=["driver_id"], entity_values=[Value(int64_val=n)]) for n in r["ids"]]
    rows = store._get_provider().online_store.online_read(store.config, view, keys, r["features"])


    def plain(v):
        kind = v.WhichOneof("val")
        x = kind and getattr(v, kind)
        return {kind: list(x.val)} if kind and kind.endswith("_list_val") else x

    return [{k: plain(v) for k, v in values.items()} for _, values in rows]


def encode(r):
    """A request over gRPC, in Feast's own messages."""
    if "features" in r:
        req = GetOnlineFeaturesRequest(features=FeatureList(val=r["features"]))
        req.entities["driver_id"].CopyFrom(RepeatedValue(val=[Value(int64_val=n) for n in r["ids"]]))
        return req.SerializeToString().hex()
    req = GetOnlineFeaturesRequest(feature_service="model", full_feature_names=True, include_feature_view_version_metadata=True)
    req.entities["driver_id"].CopyFrom(RepeatedValue(val=[Value(int64_list_val=Int64List(val=[1, 2])), Value(int32_val=3), Value(string_val="9")]))
    req.entities["town"].CopyFrom(RepeatedValue(val=[Value(string_val=t) for t in ("Lyon", "Köln", "Lyon", "Nowhere")]))
    return req.SerializeToString().hex()


def decode(r):
    return MessageToDict(GetOnlineFeaturesResponse.FromString(bytes.fromhex(r["hex"])), preserving_proto_field_name=True)


def recode(r):
    """The same answer, written by Feast's own messages."""
    return GetOnlineFeaturesResponse.FromString(bytes.fromhex(r["hex"])).SerializeToString(deterministic=True).hex()


actions = {f.__name__: f for f in (define, write, push, lookup, online_read, encode, decode, recode)}
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
