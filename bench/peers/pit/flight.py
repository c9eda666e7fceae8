"""A training set over Arrow Flight into pandas, beside reading the same from Parquet:
flight.py ADDRESS SPINE PARQUET. Prints JSON: seconds from the first batch to the DataFrame,
from the start of the call, of pandas.read_parquet, and the rows."""
import json
import sys
import time

import pandas as pd
import pyarrow as pa
import pyarrow.flight as fl
import pyarrow.parquet as pq

address, spine, parquet = sys.argv[1:]
rows = pq.read_table(spine)
began = time.perf_counter()
client = fl.connect("grpc://" + address)
command = fl.FlightDescriptor.for_command(b'{"service":"pit","time":"event","time_column":"ts"}')
writer, reader = client.do_exchange(command)
writer.begin(rows.schema)
writer.write_table(rows)
writer.done_writing()
batches = [reader.read_chunk().data]
first = time.perf_counter()
try:
    while True:
        batches.append(reader.read_chunk().data)
except StopIteration:
    pass
frame = pa.Table.from_batches(batches).to_pandas()
done = time.perf_counter()
same = pd.read_parquet(parquet)
read = time.perf_counter()
pd.testing.assert_frame_equal(frame, same, check_exact=True)
print(json.dumps({"stream": done - first, "whole": done - began, "read": read - done, "rows": len(frame)}))
