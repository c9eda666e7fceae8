"""What Python's datasketches reads in the sketches of Weir's profiles.

A JSON object on standard input, of base64: {"kll": ..., "hll": ..., "frequent_items": ...}, each
of them or none; "ranks" are asked of the first. The answer is one of what was read.
"""

import base64
import json
import sys

import datasketches as ds

q = json.load(sys.stdin)
out = {}
if "kll" in q:
    s = ds.kll_doubles_sketch.deserialize(base64.b64decode(q["kll"]))
    out["n"], out["min"], out["max"] = s.n, s.get_min_value(), s.get_max_value()
    out["quantiles"] = list(s.get_quantiles(q["ranks"], True))
    out["rank_error"] = s.normalized_rank_error(False)
if "hll" in q:
    out["distinct"] = ds.hll_sketch.deserialize(base64.b64decode(q["hll"])).get_estimate()
if "frequent_items" in q:
    s = ds.frequent_strings_sketch.deserialize(base64.b64decode(q["frequent_items"]))
    out["total"] = s.total_weight
    out["items"] = {name: [low, high] for name, _, low, high in s.get_frequent_items(ds.frequent_items_error_type.NO_FALSE_NEGATIVES)}
json.dump(out, sys.stdout)
