"""Answers who is about to leave, given nothing but customer ids: the features are looked up in Weir.

    python predict.py --port 8000
    curl http://127.0.0.1:8000/predict -d '{"customer_id": ["C00042"]}'

The model is MLflow's champion; another champion is noticed within --every seconds.
"""

import argparse
import http.server
import json
import os
import threading
import time
import urllib.request

import mlflow
import pandas

MODEL, SERVICE, ALIAS = "churn", "churn", "champion"


def look_up(weir, ids):
    """The features of customers as columns, and for each customer whether there are any."""
    question = {"service": SERVICE, "entities": {"customer_id": ids}, "include_statuses": True}
    request = urllib.request.Request(weir + "/v1/lookup", json.dumps(question).encode(), {"X-Timeout": "250ms"})
    with urllib.request.urlopen(request, timeout=1) as answer:
        a = json.load(answer)
    statuses = zip(*(view["statuses"] for view in a["views"]))
    return {c["name"]: c["values"] for c in a["columns"]}, [all(s == "PRESENT" for s in row) for row in statuses]


class Champion:
    """The newest champion of the registry."""

    def __init__(self, mlflow, client):
        self.mlflow, self.client, self.version, self.model = mlflow, client, None, None

    def refresh(self):
        version = self.client.get_model_version_by_alias(MODEL, ALIAS).version
        if version != self.version:
            self.model, self.version = self.mlflow.sklearn.load_model(f"models:/{MODEL}/{version}"), version

    def follow(self, every):
        while True:
            time.sleep(every)
            try:
                self.refresh()
            except Exception as e:  # the registry is away: the champion of before goes on
                print("champion:", e, flush=True)

    def churns(self, columns):
        return self.model.predict_proba(pandas.DataFrame(columns))[:, 1].tolist()


def predict(champion, weir, ids):
    columns, known = look_up(weir, ids)
    rows = [i for i, k in enumerate(known) if k]
    of = champion.churns({name: [values[i] for i in rows] for name, values in columns.items()}) if rows else []
    found = dict(zip(rows, of))
    return {"model": f"{MODEL}@{champion.version}", "churn": [found.get(i) for i in range(len(ids))]}


def handler(champion, weir):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            try:
                ids = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["customer_id"]
                status, answer = 200, predict(champion, weir, ids if isinstance(ids, list) else [ids])
            except (ValueError, KeyError, TypeError) as e:
                status, answer = 400, {"error": f'send {{"customer_id": [...]}}: {e!r}'}
            except OSError as e:
                status, answer = 503, {"error": f"the features cannot be looked up: {e}"}
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_):
            pass

    return Handler


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--weir", default=os.environ.get("CHURN_HTTP", "http://127.0.0.1:6566"))
    p.add_argument("--port", type=int, default=8000)
    p.add_argument("--every", type=float, default=10)
    a = p.parse_args()
    champion = Champion(mlflow, mlflow.MlflowClient())
    champion.refresh()
    threading.Thread(target=champion.follow, args=[a.every], daemon=True).start()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", a.port), handler(champion, a.weir))
    print(json.dumps({"port": server.server_port, "version": champion.version}), flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
