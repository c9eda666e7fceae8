"""Drift between two Parquet files, by Evidently's DataDriftPreset.

compare.py prepare REFERENCE CURRENT    makes 1M and 100k rows of 20 columns that have not drifted
compare.py evidently REFERENCE CURRENT  reads both with pandas and reports, with Evidently's defaults

The second ends with the number of columns compared, and of those drifted.
"""

import sys


def prepare(path, n, seed):
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    r = np.random.default_rng(seed)

    def some(k):
        names = np.array([f"category-{j}" for j in range(k)])
        return pa.array(names[np.minimum(k - 1, r.exponential(k / 4, n).astype(int))].tolist())

    columns = {f"normal_{i}": r.normal(i, 1 + i, n) for i in range(10)}
    columns |= {f"price_{i}": np.round(r.gamma(2, 40 + i, n), 2) for i in range(3)}
    columns |= {f"count_{k}": r.integers(0, k, n) for k in (50, 1_000, 100_000)}
    columns |= {f"category_{k}": some(k) for k in (4, 20, 200)}
    columns["returning"] = r.random(n) < 0.3
    pq.write_table(pa.table(columns), path)


def evidently(reference, current):
    import pandas as pd
    from evidently import Report
    from evidently.presets import DataDriftPreset

    reference, current = pd.read_parquet(reference), pd.read_parquet(current)
    metrics = Report([DataDriftPreset()]).run(current, reference).dict()["metrics"]
    drifted = next(m["value"]["count"] for m in metrics if m["metric_name"].startswith("DriftedColumnsCount"))
    print(len(metrics) - 1, "columns,", int(drifted), "drifted")


if sys.argv[1] == "prepare":
    prepare(sys.argv[2], 1_000_000, 1)
    prepare(sys.argv[3], 100_000, 2)
else:
    evidently(*sys.argv[2:])
