"""Another engine on the tables of a catalog: reads rows, and commits of its own.

    engine.py pyiceberg|duckdb|spark CATALOG.db WAREHOUSE [SPARK_JARS]

Takes one JSON object a line on standard input, {"do": NAME, ...}, and answers
with one JSON object a line on standard output: {"ok": ...} or {"error": ...}.
"""

import json
import os
import sys
import traceback

from values import lines


def table_lines(a):
    """The rows of an Arrow table."""
    return lines(a.column_names, zip(*[col.to_pylist() for col in a.columns]))


class PyIceberg:
    def __init__(self, catalog, warehouse, _jars):
        import pyiceberg
        from pyiceberg.catalog.sql import SqlCatalog

        self.version = pyiceberg.__version__
        s3 = json.loads(os.environ.get("ENGINE_S3", "{}"))  # where a bucket is, and who may read it
        where = warehouse if "://" in warehouse else "file://" + warehouse
        self.catalog = SqlCatalog("weir", uri="sqlite:///" + catalog, warehouse=where, init_catalog_tables="false", **s3)

    def table(self, c):
        return self.catalog.load_table((c["namespace"], c["table"]))

    def rows(self, c):
        t = self.table(c)
        snapshot = c.get("snapshot")
        if c.get("tag"):
            snapshot = t.snapshot_by_name(c["tag"]).snapshot_id
        return table_lines(t.scan(snapshot_id=snapshot).to_arrow())

    def delete(self, c):
        self.table(c).delete(c["where"])

    def append_none(self, c):
        """A commit that adds nothing but a snapshot."""
        t = self.table(c)
        t.append(t.schema().as_arrow().empty_table())

    def expire(self, c):
        t = self.table(c)
        keep = t.current_snapshot().snapshot_id
        refs = {r.snapshot_id for r in t.metadata.refs.values()}
        old = [s.snapshot_id for s in t.snapshots() if s.snapshot_id != keep and s.snapshot_id not in refs]
        t.maintenance.expire_snapshots().by_ids(old).commit()

    def set_property(self, c):
        with self.table(c).transaction() as tx:
            tx.set_properties({c["key"]: c["value"]})

    def snapshots(self, c):
        return [s.snapshot_id for s in self.table(c).snapshots()]


class DuckDB:
    """Reads only: it opens the metadata file that the catalog names."""

    def __init__(self, catalog, _warehouse, _jars):
        import importlib.metadata
        import sqlite3

        import duckdb

        self.version = duckdb.__version__
        self.pointer = sqlite3.connect(catalog)
        self.db = duckdb.connect(config={"allow_unsigned_extensions": "true"})
        self.db.execute("SET TimeZone = 'UTC'")
        for name in ("avro", "iceberg"):
            files = importlib.metadata.files(f"duckdb-extension-{name}") or []
            path = next(f.locate() for f in files if str(f).endswith(".duckdb_extension"))
            self.db.execute(f"LOAD '{path}'")

    def metadata(self, c):
        (location,) = self.pointer.execute(
            "SELECT metadata_location FROM iceberg_tables WHERE catalog_name = 'weir' AND table_namespace = ? AND table_name = ?",
            (c["namespace"], c["table"]),
        ).fetchone()
        return location.removeprefix("file://")

    def rows(self, c):
        at = f", snapshot_from_id => {c['snapshot']}" if c.get("snapshot") else ""
        return table_lines(self.db.execute(f"SELECT * FROM iceberg_scan('{self.metadata(c)}'{at})").to_arrow_table())

    def sql(self, c):
        """A query with {table} in it."""
        q = c["query"].replace("{table}", f"iceberg_scan('{self.metadata(c)}')")
        return [list(map(str, r)) for r in self.db.execute(q).fetchall()]


class Spark:
    def __init__(self, catalog, warehouse, jars):
        import glob

        import pyspark
        from pyspark.sql import SparkSession

        self.version = pyspark.__version__
        ext = "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions"
        b = SparkSession.builder.master("local[1]").appName("weir-peers")
        for k, v in {
            "spark.jars": ",".join(glob.glob(jars + "/*.jar")),
            "spark.sql.extensions": ext,
            "spark.sql.catalog.weir": "org.apache.iceberg.spark.SparkCatalog",
            "spark.sql.catalog.weir.type": "jdbc",
            "spark.sql.catalog.weir.uri": "jdbc:sqlite:" + catalog,
            "spark.sql.catalog.weir.jdbc.schema-version": "V1",
            "spark.sql.catalog.weir.warehouse": "file://" + warehouse,
            "spark.sql.catalog.weir.cache-enabled": "false",
            "spark.sql.session.timeZone": "UTC",
            "spark.sql.shuffle.partitions": "1",
            "spark.ui.enabled": "false",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.host": "127.0.0.1",
            "spark.driver.memory": "1g",
            "spark.log.level": "ERROR",
        }.items():
            b = b.config(k, v)
        self.spark = b.getOrCreate()

    def name(self, c):
        return f"weir.{c['namespace']}.{c['table']}"

    def rows(self, c):
        at = f" VERSION AS OF {c['snapshot']}" if c.get("snapshot") else ""
        if c.get("tag"):
            at = f" VERSION AS OF '{c['tag']}'"
        df = self.spark.sql(f"SELECT * FROM {self.name(c)}{at}")
        return lines(df.columns, [self.plain(r) for r in df.collect()])

    @staticmethod
    def plain(row):
        # Timestamps come as local time without a zone.
        import datetime as dt

        return [v.astimezone(dt.timezone.utc) if isinstance(v, dt.datetime) else v for v in row]

    def delete(self, c):
        self.spark.sql(f"DELETE FROM {self.name(c)} WHERE {c['where']}")

    def compact(self, c):
        r = self.spark.sql(f"CALL weir.system.rewrite_data_files(table => '{c['namespace']}.{c['table']}', options => map('rewrite-all', 'true'))")
        return r.collect()[0].asDict()["rewritten_data_files_count"]

    def rewrite_manifests(self, c):
        self.spark.sql(f"CALL weir.system.rewrite_manifests('{c['namespace']}.{c['table']}')").collect()

    def expire(self, c):
        self.spark.sql(
            f"CALL weir.system.expire_snapshots(table => '{c['namespace']}.{c['table']}', older_than => TIMESTAMP '2200-01-01 00:00:00', retain_last => 1)"
        ).collect()

    def update(self, c):
        self.spark.sql(f"UPDATE {self.name(c)} SET {c['set']} WHERE {c['where']}")


def main():
    engine = {"pyiceberg": PyIceberg, "duckdb": DuckDB, "spark": Spark}[sys.argv[1]]
    out, sys.stdout = sys.stdout, sys.stderr  # libraries may print
    e = engine(sys.argv[2], sys.argv[3], sys.argv[4] if len(sys.argv) > 4 else "")

    def answer(x):
        out.write(json.dumps(x) + "\n")
        out.flush()

    answer({"ok": e.version})
    for line in sys.stdin:
        c = json.loads(line)
        try:
            answer({"ok": getattr(e, c["do"])(c)})
        except Exception as x:  # the test decides what an error means
            traceback.print_exc()
            answer({"error": f"{type(x).__name__}: {x}"})


main()
