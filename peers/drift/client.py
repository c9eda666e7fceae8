"""scipy and Evidently on the samples and files that a test sends.

A line of JSON in, a line of JSON out: {"OK": answer} or {"Error": text}.
  {"numbers": [reference, current], "whole": bool}   every number of two samples
  {"counts": [reference, current]}                   every number of two lists of counts
  {"p_values": [...]}                                adjusted ones
  {"scores": [reference, current], "labels": [...], "kind": ..}  scikit-learn's metrics, and scipy's tests whether the second are worse
  {"tails": [[n, x], ...]}                           the one-sample Kolmogorov distribution's
  {"split": [csv, query, query, folder]}             two Parquet files of the rows that queries choose
  {"files": [reference, current]}                    Evidently's DataDriftPreset on two Parquet files
"""

import contextlib
import json
import sys
import warnings

out, sys.stdout = sys.stdout, sys.stderr
warnings.simplefilter("ignore")

import evidently  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import scipy  # noqa: E402
from evidently.legacy.calculations import stattests as st  # noqa: E402
from evidently.legacy.core import ColumnType  # noqa: E402
from scipy import stats  # noqa: E402
from sklearn import metrics  # noqa: E402

NUMBER, CATEGORY = ColumnType.Numerical, ColumnType.Categorical


def score(test, ref, cur, kind):
    try:
        return float(test(ref.copy(), cur.copy(), kind, None).drift_score)
    except ValueError as e:  # g_test of files of different sizes
        return repr(e)


def numbers(ref, cur, whole):
    dtype = "int64" if whole else "float64"
    ref, cur = pd.Series(ref, dtype=dtype), pd.Series(cur, dtype=dtype)
    ks = stats.ks_2samp(ref, cur)
    q1, mid, q3 = np.quantile(ref, [0.25, 0.5, 0.75])
    return {
        "ks": ks.statistic,
        "ks_p": ks.pvalue,
        "wasserstein": stats.wasserstein_distance(ref, cur),
        "mean": ref.mean(),
        "std": np.std(ref.to_numpy()),
        "q1": q1, "median": mid, "q3": q3,
        "evidently_ks": score(st.ks_stat_test, ref, cur, NUMBER),
        "evidently_wasserstein": score(st.wasserstein_stat_test, ref, cur, NUMBER),
        "psi": score(st.psi_stat_test, ref, cur, NUMBER),
        "jensen_shannon": score(st.jensenshannon_stat_test, ref, cur, NUMBER),
        "kl": score(st.kl_div_stat_test, ref, cur, NUMBER),
        "hellinger": score(st.hellinger_stat_test, ref, cur, NUMBER),
    }


def counts(ref, cur):
    names = [f"c{i:03d}" for i in range(len(ref))]
    r, c = pd.Series(np.repeat(names, ref)), pd.Series(np.repeat(names, cur))
    ref, cur = np.array(ref, float), np.array(cur, float)
    table = np.array([ref, cur])[:, ref + cur > 0]
    scaled = ref * (cur.sum() / ref.sum())
    g = stats.power_divergence(cur, scaled, lambda_="log-likelihood")
    answer = {
        "chi_square": score(st.chi_stat_test, r, c, CATEGORY),
        "chi_square_stat": stats.chisquare(cur[ref + cur > 0], scaled[ref + cur > 0]).statistic,
        "g_stat": g.statistic,
        "g": g.pvalue,
        "evidently_g": score(st.g_test, r, c, CATEGORY),
        "psi": score(st.psi_stat_test, r, c, CATEGORY),
        "jensen_shannon": score(st.jensenshannon_stat_test, r, c, CATEGORY),
        "kl": score(st.kl_div_stat_test, r, c, CATEGORY),
        "hellinger": score(st.hellinger_stat_test, r, c, CATEGORY),
        "linf": np.abs(ref / ref.sum() - cur / cur.sum()).max(),
    }
    if table.shape[1] > 1:
        h = stats.chi2_contingency(table, correction=False)
        answer |= {"table_stat": h.statistic, "table": h.pvalue}
    if len(ref) == 2:
        answer |= {"z": score(st.z_stat_test, r, c, CATEGORY), "fisher": stats.fisher_exact([ref, cur]).pvalue}
    return answer


def performance(kind, scores, labels):
    out = {}
    def metric(name, of, errors=None, shares=None):
        out[name] = [float(of(y, s)) for s, y in zip(scores, labels)]
        if errors:
            ref, cur = [errors(np.array(s), np.array(y, float)) for s, y in zip(scores, labels)]
            out[name].append(stats.ttest_ind(cur, ref, equal_var=False, alternative="greater").pvalue)
            out[name].append(stats.ttest_1samp(cur, ref.mean(), alternative="greater").pvalue)
        else:
            (x, n), (y, m) = [shares(np.array(s), np.array(y)) for s, y in zip(scores, labels)]
            p = (x + y) / (n + m)
            if min(x + y, n + m - x - y) * min(n, m) / (n + m) >= 10:
                out[name].append(stats.norm.sf((x / n - y / m) / np.sqrt(p * (1 - p) * (1 / n + 1 / m))))
            else:
                out[name].append(stats.fisher_exact([[x, n - x], [y, m - y]], alternative="greater").pvalue)
            out[name].append(stats.binomtest(int(y), int(m), x / n, alternative="less").pvalue)
    if kind == "number":
        metric("mae", metrics.mean_absolute_error, lambda s, y: np.abs(s - y))
        metric("rmse", metrics.root_mean_squared_error, lambda s, y: (s - y) ** 2)
        return out
    yes = lambda s: np.array(s) >= 0.5
    of = lambda f: lambda y, s: f(y, yes(s))
    metric("accuracy", of(metrics.accuracy_score), shares=lambda s, y: ((yes(s) == y).sum(), len(y)))
    metric("precision", of(metrics.precision_score), shares=lambda s, y: ((yes(s) & y).sum(), yes(s).sum()))
    metric("recall", of(metrics.recall_score), shares=lambda s, y: ((yes(s) & y).sum(), y.sum()))
    eps = np.finfo(float).eps
    metric("log_loss", metrics.log_loss, lambda s, y: -np.log(np.clip(np.where(y > 0, s, 1 - s), eps, 1 - eps)))
    metric("brier", metrics.brier_score_loss, lambda s, y: (s - y) ** 2)
    return out


def split(path, ref, cur, folder):
    frame = pd.read_csv(path, keep_default_na=False, na_values=["", " ", "NA"])
    names = []
    for i, query in enumerate([ref, cur]):
        names.append(f"{folder}/{i}.parquet")
        frame.query(query).to_parquet(names[-1], index=False)
    return names


def files(ref, cur):
    from evidently import Report
    from evidently.presets import DataDriftPreset

    ref, cur = pd.read_parquet(ref), pd.read_parquet(cur)
    # A report says no more than "drift found" where a file cannot be compared at all.
    with contextlib.redirect_stdout(sys.stderr):
        got = json.loads(Report([DataDriftPreset()]).run(cur, ref).json())
    columns, share = {}, None
    for m in got["metrics"]:
        if m["metric_name"].startswith("ValueDrift"):
            columns[m["config"]["column"]] = {"method": m["config"]["method"], "threshold": m["config"]["threshold"], "score": m["value"]}
        else:
            share = m["value"]["share"]
    return {"columns": columns, "share": share}


def answer(q):
    if "numbers" in q:
        return numbers(*q["numbers"], q["whole"])
    if "counts" in q:
        return counts(*q["counts"])
    if "tails" in q:
        return [float(stats.kstwo.sf(x, n)) for n, x in q["tails"]]
    if "scores" in q:
        return performance(q["kind"], q["scores"], q["labels"])
    if "split" in q:
        return split(*q["split"])
    if "files" in q:
        return files(*q["files"])
    return list(stats.false_discovery_control(q["p_values"]))


def plain(v):
    """JSON has no infinities."""
    if isinstance(v, dict):
        return {k: plain(x) for k, x in v.items()}
    if isinstance(v, (list, tuple)):
        return [plain(x) for x in v]
    if hasattr(v, "item"):
        v = v.item()
    if isinstance(v, float) and not np.isfinite(v):
        return {np.inf: "Infinity", -np.inf: "-Infinity"}.get(v, "NaN")
    return v


print(json.dumps({"OK": f"{evidently.__version__} with scipy {scipy.__version__} and pandas {pd.__version__}"}), file=out, flush=True)
for line in sys.stdin:
    try:
        reply = {"OK": plain(answer(json.loads(line)))}
    except Exception as e:  # noqa: BLE001 the test is to see it
        reply = {"Error": repr(e)}
    print(json.dumps(reply), file=out, flush=True)
