"""A training set with Feast's DuckDB offline store: train.py prepare|train REPO DATA [OUT].

prepare defines what train reads and is not measured. train is what a training job does: features
of one view at the rows of the spine, written to a Parquet file."""
import sys
import textwrap
from datetime import timedelta
from pathlib import Path

what, repo, data = sys.argv[1:4]
columns = [f"v1_f{j}" for j in range(5)]

if what == "prepare":
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, ValueType
    from feast.types import Float64

    Path(repo).mkdir(parents=True, exist_ok=True)
    Path(repo, "feature_store.yaml").write_text(textwrap.dedent("""\
        project: bench
        provider: local
        registry: registry.db
        offline_store: {type: duckdb}
        online_store: {type: sqlite, path: online.db}
        entity_key_serialization_version: 3
        """))
    entity = Entity(name="entity", join_keys=["entity_id"], value_type=ValueType.INT64)
    source = FileSource(name="v1", path=data + "/arrival/v1/*.parquet", timestamp_field="event_ts", created_timestamp_column="created_ts")
    view = FeatureView(name="v1", entities=[entity], ttl=timedelta(days=30), source=source, schema=[Field(name=c, dtype=Float64) for c in columns])
    FeatureStore(repo_path=repo).apply([entity, view])
else:
    import pyarrow.parquet as pq
    from feast import FeatureStore

    spine = pq.read_table(data + "/spine.parquet").rename_columns(["row_id", "entity_id", "event_timestamp", "label"]).to_pandas()
    rows = FeatureStore(repo_path=repo).get_historical_features(entity_df=spine, features=["v1:" + c for c in columns]).to_arrow()
    pq.write_table(rows, sys.argv[4], compression="zstd")
