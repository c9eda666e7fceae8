"""What the test of model servers needs of Python. Answers are JSON on standard output.

client.py train FOLDER   on standard input {"columns", "rows", "contracts", "labels"}: trains two models for MLServer,
                         churn on the numbers and frame on a data frame with the contract, and says what
                         scikit-learn itself predicts of the same rows
client.py triton ADDRESS SERVICE   on standard input {"key", "values"}: looks up with Triton's client
client.py triton-grpc ADDRESS SERVICE   the same over gRPC, and each feature by name
client.py mlserver-grpc ADDRESS SERVICE   the same with MLServer's generated client, typed
"""

import json
import pathlib
import sys

import numpy as np


def train(folder):
    import joblib
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    data = json.load(sys.stdin)
    x, y = np.array(data["rows"], dtype=np.float64), np.array(data["labels"])
    numbers = RandomForestClassifier(n_estimators=20, random_state=7).fit(x, y)
    frame = pd.DataFrame(x, columns=data["columns"])
    frame["contract"] = data["contracts"]
    encoded = ColumnTransformer([("contract", OneHotEncoder(handle_unknown="ignore"), ["contract"])], remainder="passthrough")
    columns = make_pipeline(encoded, RandomForestClassifier(n_estimators=20, random_state=7)).fit(frame, y)
    for name, model in {"churn": numbers, "frame": columns}.items():
        home = pathlib.Path(folder, name)
        home.mkdir()
        joblib.dump(model, home / "model.joblib")
        settings = {"name": name, "implementation": "mlserver_sklearn.SKLearnModel", "parameters": {"uri": "./model.joblib", "extra": {"predict_fn": "predict_proba"}}}
        (home / "model-settings.json").write_text(json.dumps(settings))
    return {"churn": numbers.predict_proba(x).tolist(), "frame": columns.predict_proba(frame).tolist()}


def triton(address, service):
    from tritonclient.http import InferenceServerClient, InferInput

    q = json.load(sys.stdin)
    client = InferenceServerClient(address)
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready(service) and not client.is_model_ready(service, "99")
    key = InferInput(q["key"], [len(q["values"])], "BYTES")
    key.set_data_from_numpy(np.array([v.encode() for v in q["values"]], dtype=object))
    rows = client.infer(service, [key]).as_numpy("features")
    return {"server": client.get_server_metadata(), "model": client.get_model_metadata(service),
            "rows": [[None if np.isnan(v) else v for v in row] for row in rows.tolist()]}


def triton_grpc(address, service):
    from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput
    from tritonclient.utils import InferenceServerException

    q = json.load(sys.stdin)
    client = InferenceServerClient(address)
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready(service)
    refused = ""
    try:
        client.is_model_ready(service, "99")
    except InferenceServerException as e:
        refused = e.status()
    key = InferInput(q["key"], [len(q["values"]), 1], "BYTES")
    key.set_data_from_numpy(np.array([[v.encode()] for v in q["values"]], dtype=object))
    rows = client.infer(service, [key], request_id="q-1").as_numpy("features")
    model = client.get_model_metadata(service, as_json=True)
    names = [o["name"] for o in model["outputs"][1:]]
    answer = client.infer(service, [key], outputs=[InferRequestedOutput(n) for n in names], parameters={"include_validity": True})
    columns = {n: [None if not v or x != x else x for x, v in zip(answer.as_numpy(n).tolist(), answer.as_numpy("valid:" + n).tolist())] for n in names}
    return {"server": client.get_server_metadata(as_json=True), "model": model, "refused": refused,
            "rows": [[None if np.isnan(v) else v for v in row] for row in rows.tolist()], "columns": columns}


def mlserver_grpc(address, service):
    import grpc
    from mlserver.codecs import NumpyCodec
    from mlserver.grpc import converters
    from mlserver.grpc.dataplane_pb2 import ModelMetadataRequest
    from mlserver.grpc.dataplane_pb2_grpc import GRPCInferenceServiceStub
    from mlserver.types import InferenceRequest, RequestInput

    q = json.load(sys.stdin)
    stub = GRPCInferenceServiceStub(grpc.insecure_channel(address))
    key = RequestInput(name=q["key"], shape=[len(q["values"])], datatype="BYTES", data=[v.encode() for v in q["values"]])
    request = converters.ModelInferRequestConverter.from_types(InferenceRequest(id="q-1", inputs=[key]), model_name=service, model_version="1")
    message = stub.ModelInfer(request)
    answer = converters.ModelInferResponseConverter.to_types(message)
    rows = NumpyCodec.decode_output(answer.outputs[0])
    inputs = stub.ModelMetadata(ModelMetadataRequest(name=service)).inputs
    return {"id": answer.id, "raw": len(message.raw_output_contents), "inputs": [i.name for i in inputs], "partial": answer.parameters.partial,
            "rows": [[None if np.isnan(v) else v for v in row] for row in rows.tolist()]}


calls = {"train": train, "triton": triton, "triton-grpc": triton_grpc, "mlserver-grpc": mlserver_grpc}
json.dump(calls[sys.argv[1]](*sys.argv[2:]), sys.stdout)
