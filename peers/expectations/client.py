"""Great Expectations over a pipe: a line of JSON with a table and expectations in, their results out.

The table is a data frame as pandas makes one of typed columns: integers with a null among them are
floats, bools with one are objects, times are datetime64[us] without a zone.
"""
import json
import os
import sys
import warnings

os.environ["GX_ANALYTICS_ENABLED"] = "false"
warnings.simplefilter("ignore")
out = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what libraries print must not be taken for an answer

import great_expectations as gx  # noqa: E402
import pandas as pd  # noqa: E402

context = gx.get_context(mode="ephemeral")
context.variables.progress_bars = {"globally": False}
batches = context.data_sources.add_pandas("p").add_dataframe_asset("a").add_batch_definition_whole_dataframe("b")


def series(typ, values):
    if typ == "timestamp":
        return pd.Series(pd.to_datetime(values, unit="us"), dtype="datetime64[us]")
    if typ == "string":
        return pd.Series(values, dtype="str")
    if typ == "bool":
        return pd.Series(values, dtype="object" if None in values else "bool")
    if typ.startswith("int") and None not in values:
        return pd.Series(values, dtype=typ)
    floats = [None if v is None else float(v) for v in values]  # "inf" is text in JSON
    return pd.Series(floats, dtype="float64" if typ.startswith("int") else typ)


def check(request):
    frame = pd.DataFrame({name: series(typ, values) for name, typ, values in request["columns"]})
    suite = gx.ExpectationSuite(
        name="s", expectations=[dict(e, meta={"at": i}) for i, e in enumerate(request["expectations"])]
    )
    got = batches.get_batch({"dataframe": frame}).validate(
        suite,
        result_format={"result_format": "COMPLETE", "partial_unexpected_count": 20},
        expectation_parameters=request["parameters"],
    )
    results = [None] * len(suite.expectations)
    for r in got.to_json_dict()["results"]:
        info = r["exception_info"]
        raised = info.get("raised_exception")
        if raised is None:  # of several metrics
            info = next(iter(info.values()))
            raised = info["raised_exception"]
        results[r["expectation_config"]["meta"]["at"]] = {
            "success": r["success"],
            "result": r["result"],
            "exception": info["exception_message"] if raised else "",
        }
    return {"success": got.success, "results": results}


print(json.dumps({"OK": gx.__version__}), file=out, flush=True)
for line in sys.stdin:
    try:
        answer = {"OK": check(json.loads(line))}
    except Exception as e:  # noqa: BLE001 the test is to see it
        answer = {"Error": repr(e)}
    print(json.dumps(answer, default=lambda v: v.item()), file=out, flush=True)
