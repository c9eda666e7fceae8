"""A KServe transformer: a request names entities, Weir has their features, the predictor gets them as one tensor.

    pip install kserve==0.21.0 grpcio-tools
    python -m grpc_tools.protoc -I proto --python_out=. --grpc_python_out=. proto/weir/v1/features.proto
    python transformer.py --model_name churn --predictor_host churn-predictor --predictor_protocol v2 \\
        --weir weir:6567 --service churn

A request to it has a tensor for each join key, of shape [n]; columns come in the order of the feature service, which
is the order that the model was trained in, and what is null is NaN.
"""

import argparse

import grpc
import kserve
import numpy as np
from kserve.errors import InvalidInput, ModelNotReady
from weir.v1 import features_pb2 as weir
from weir.v1 import features_pb2_grpc

WRONG = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.RESOURCE_EXHAUSTED)


def entity(tensor):
    """A join key's tensor as a column of a lookup."""
    values = tensor.as_numpy().ravel()
    if tensor.datatype == "BOOL":
        column = {"bools": weir.Bools(values=values)}
    elif tensor.datatype == "BYTES":
        column = {"strings": weir.Strings(values=[v.decode() if isinstance(v, bytes) else v for v in values])}
    else:
        column = {"int64s": weir.Int64s(values=values)}
    return weir.EntityColumn(name=tensor.name, values=weir.Values(**column))


def numbers(column, rows):
    """A feature's column as floats, NaN where it is null."""
    kind = column.values.WhichOneof("kind")
    if kind in ("strings", "bytes", "arrays"):
        raise InvalidInput(f"feature {column.name} is no number: leave it out of the service, or encode it")
    values = getattr(column.values, kind)
    out = np.array(values.micros if kind == "timestamps" else values.values, dtype=np.float64)
    if column.validity:
        valid = np.unpackbits(np.frombuffer(column.validity, np.uint8), bitorder="little")[:rows]
        out[valid == 0] = np.nan
    return out


class Features(kserve.Model):
    def __init__(self, name, weir_address, project, service, timeout):
        super().__init__(name)
        self.address, self.project, self.service, self.timeout = weir_address, project, service, timeout
        self.stub = None
        self.ready = True

    async def preprocess(self, payload, headers=None):
        if not isinstance(payload, kserve.InferRequest):
            raise InvalidInput("ask over the Open Inference Protocol v2: a tensor for each join key")
        if self.stub is None:  # here there is a loop that the channel can live on
            self.stub = features_pb2_grpc.FeatureServiceStub(grpc.aio.insecure_channel(self.address))
        request = weir.LookupRequest(project=self.project, service=self.service, entities=[entity(i) for i in payload.inputs])
        if payload.id and len(payload.id) <= 128:
            request.request_id = payload.id  # in Weir's log of what models saw
        try:
            answer = await self.stub.Lookup(request, timeout=self.timeout)
        except grpc.aio.AioRpcError as e:
            if e.code() in WRONG:
                raise InvalidInput(e.details()) from e
            raise ModelNotReady(self.name, f"{e.code().name}: {e.details()}") from e
        if answer.partial:  # a model would take what the store did not answer for what is not there
            raise ModelNotReady(self.name, "the feature store did not answer for some rows; ask again")
        rows = np.column_stack([numbers(c, answer.rows) for c in answer.columns])
        tensor = kserve.InferInput("features", list(rows.shape), "FP64", data=rows.ravel().tolist())
        return kserve.InferRequest(self.name, [tensor], request_id=payload.id, request_outputs=payload.request_outputs)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(parents=[kserve.model_server.parser], description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weir", default="127.0.0.1:6567", help="where Weir answers over gRPC")
    parser.add_argument("--project", default="default")
    parser.add_argument("--service", required=True, help="the feature service of the model")
    parser.add_argument("--lookup_timeout", type=float, default=1.0, help="seconds a lookup may take")
    args, _ = parser.parse_known_args()
    kserve.ModelServer().start([Features(args.model_name, args.weir, args.project, args.service, args.lookup_timeout)])
