"""Makes the event on standard input with openlineage-python's own classes, and answers with what those make of it.

A field or facet that a class does not know, or one that it needs and is not there, ends the program.
"""

import json
import sys

from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.generated.dataset_version_dataset import DatasetVersionDatasetFacet
from openlineage.client.generated.datasource_dataset import DatasourceDatasetFacet
from openlineage.client.generated.output_statistics_output_dataset import OutputStatisticsOutputDatasetFacet
from openlineage.client.generated.schema_dataset import SchemaDatasetFacet, SchemaDatasetFacetFields
from openlineage.client.serde import Serde

FACETS = {"version": DatasetVersionDatasetFacet, "schema": SchemaDatasetFacet, "dataSource": DatasourceDatasetFacet,
          "outputStatistics": OutputStatisticsOutputDatasetFacet}


def facets(said):
    out = {}
    for name, f in said.items():
        f = dict(f)
        schema, producer = f.pop("_schemaURL"), f.pop("_producer")
        if "fields" in f:
            f["fields"] = [SchemaDatasetFacetFields(**x) for x in f["fields"]]
        made = FACETS[name](producer=producer, **f)
        assert made._schemaURL == schema, (made._schemaURL, schema)
        out[name] = made
    return out


e = json.load(sys.stdin)
event = RunEvent(
    eventType=RunState[e.pop("eventType")], eventTime=e.pop("eventTime"), producer=e.pop("producer"),
    run=Run(**e.pop("run")), job=Job(**e.pop("job")),
    inputs=[InputDataset(d.pop("namespace"), d.pop("name"), facets=facets(d.pop("facets"))) for d in e["inputs"]],
    outputs=[OutputDataset(d.pop("namespace"), d.pop("name"), facets=facets(d.pop("facets")), outputFacets=facets(d.pop("outputFacets"))) for d in e["outputs"]])
assert event.schemaURL == e.pop("schemaURL"), event.schemaURL
assert not any(e.pop("inputs")) and not any(e.pop("outputs")) and not e, e


def prune(x):
    """Leaves out the empty lists and objects that the classes add."""
    if isinstance(x, dict):
        x = {k: prune(v) for k, v in x.items()}
        return {k: v for k, v in x.items() if v not in ({}, [])}
    return [prune(v) for v in x] if isinstance(x, list) else x


print(json.dumps(prune(json.loads(Serde.to_json(event)))))
