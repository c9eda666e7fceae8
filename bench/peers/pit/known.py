"""The training set as it was known at each row's time, in DuckDB: of the rows created by then
and at most 30 days old, the newest by event time, then by creation.

usage: known.py DATA LAYOUT OUT. Of an inner join with max of a struct, arg_max, and row_number,
the first was the fastest; ASOF cannot say it. Prints what it took, like pit.py."""
import resource
import sys
import time

import duckdb

data, layout, out = sys.argv[1:]
views, features = (1, 2, 3), range(5)
began = time.time()
db = duckdb.connect()
db.execute("set threads=2; set memory_limit='4GB'; set preserve_insertion_order=false; set temp_directory='tmp'; set TimeZone='UTC'")


def newest(v):
    row = ",".join(["e: v.event_ts", "c: v.created_ts"] + [f"v{v}_f{j}: v.v{v}_f{j}" for j in features])
    return f"""select row_id, {",".join(f"m.v{v}_f{j}" for j in features)} from (
        select s.row_id, max({{{row}}}) m from s join read_parquet('{data}/{layout}/v{v}/*.parquet') v
        on s.entity_id = v.entity_id and v.created_ts <= s.ts and v.event_ts <= s.ts and v.event_ts >= s.ts - interval 30 day
        group by s.row_id)"""


names = ",".join(f"v{v}_f{j}" for v in views for j in features)
db.execute(f"""copy (with s as materialized (from read_parquet('{data}/spine.parquet')),
    {",".join(f"n{v} as ({newest(v)})" for v in views)}
    select s.*, {names} from s {" ".join(f"left join n{v} using (row_id)" for v in views)})
    to '{out}' (format parquet, compression zstd, compression_level 1)""")
used = resource.getrusage(resource.RUSAGE_SELF)
print(f"wall={time.time() - began:.2f}s cpu={used.ru_utime + used.ru_stime:.2f}s rss={used.ru_maxrss / 2**20:.2f}GiB", flush=True)
