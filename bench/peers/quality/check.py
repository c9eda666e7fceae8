"""Ten expectations on a Parquet file: with DuckDB's SQL and with Great Expectations.

check.py prepare FILE     makes 1M rows of 10 columns
check.py duckdb FILE      one query, one thread
check.py gx FILE SUITE    the suite that weir check reads, on pandas

Each ends with the number of expectations that hold, which has to be ten.
"""

import sys


def prepare(path):
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    n, r = 1_000_000, np.random.default_rng(1)

    def some(*texts):
        return pa.array(np.array(texts)[r.integers(0, len(texts), n)].tolist())

    start = np.datetime64("2026-01-01T00:00:00", "us")
    pq.write_table(pa.table({
        "event_id": np.arange(n) + n,
        "customer_id": pa.array([f"c{k:06d}" for k in r.integers(0, 200_000, n)]),
        "amount": np.round(r.gamma(2, 40, n), 2),
        "risk": r.random(n),
        "items": r.integers(1, 12, n),
        "currency": some("EUR", "USD", "GBP", "CHF"),
        "channel": some("web", "app", "store"),
        "device": some("ios-17", "android-14", "firefox", "chrome-120", "safari"),
        "returning": r.random(n) < 0.3,
        "time": pa.array(start + np.arange(n) * np.timedelta64(1000, "us"), pa.timestamp("us", tz="UTC")),
    }), path)


def duckdb(path):
    import duckdb

    con = duckdb.connect()
    con.execute("set threads = 1")
    broken = con.execute(f"""select
        count(*) filter (amount is null),
        count(*) filter (not (amount between 0 and 100000)),
        count(*) filter (not (risk >= 0 and risk < 1)),
        count(*) filter (currency not in ('EUR', 'USD', 'GBP', 'CHF')),
        count(*) filter (channel not in ('web', 'app', 'store')),
        count(*) filter (items in (-1, 0, 9999)),
        count(*) filter (not regexp_matches(customer_id, '^c[0-9]{{6}}$')),
        count(*) filter (not (length(device) between 1 and 32)),
        count(*) filter (typeof("returning") <> 'BOOLEAN'),
        count(*) filter (not (event_id > items))
        from read_parquet('{path}')""").fetchone()
    print(sum(n == 0 for n in broken))


def gx(path, suite):
    import json
    import logging
    import warnings

    warnings.filterwarnings("ignore")
    logging.disable(logging.CRITICAL)
    import great_expectations as gx
    import pandas as pd

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    with open(suite) as f:
        rules = json.load(f)["expectations"]
    names = {k.lower(): v for k, v in vars(gx.expectations).items()}
    expectations = [names[r["type"].replace("_", "")](**r["kwargs"]) for r in rules]
    batch = (context.data_sources.add_pandas("p").add_dataframe_asset("d").add_batch_definition_whole_dataframe("w")
             .get_batch({"dataframe": pd.read_parquet(path)}))
    result = batch.validate(gx.ExpectationSuite(name="ten", expectations=expectations), result_format="BASIC")
    print(sum(r.success for r in result.results))


{"prepare": prepare, "duckdb": duckdb, "gx": gx}[sys.argv[1]](*sys.argv[2:])
