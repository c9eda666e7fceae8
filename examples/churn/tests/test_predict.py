import contextlib
import http.server
import json
import threading
import unittest
import urllib.error
import urllib.request

import predict


@contextlib.contextmanager
def serving(handler):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class Weir(http.server.BaseHTTPRequestHandler):
    """Answers lookups as Weir does: of "b" there is nothing."""

    asked = []

    def do_POST(self):
        question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append((self.path, question))
        ids = question["entities"]["customer_id"]
        known = [i != "b" for i in ids]
        answer = {
            "rows": len(ids),
            "columns": [
                {"name": "tenure", "type": "int64", "view": "customer_profile", "values": [len(i) if k else None for i, k in zip(ids, known)]},
                {"name": "contract", "type": "string", "view": "customer_profile", "values": ["One year" if k else None for k in known]},
            ],
            "views": [{"view": "customer_profile", "statuses": ["PRESENT" if k else "NOT_FOUND" for k in known]}],
        }
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_):
        pass


class Champion:
    version = "3"

    def churns(self, columns):
        assert list(columns) == ["tenure", "contract"]
        return [t / 10 for t in columns["tenure"]]


def ask(url, body):
    try:
        with urllib.request.urlopen(url + "/predict", json.dumps(body).encode()) as a:
            return a.status, json.load(a)
    except urllib.error.HTTPError as e:
        return e.code, json.load(e)


class Predict(unittest.TestCase):
    def test_features_are_looked_up(self):
        with serving(Weir) as weir, serving(predict.handler(Champion(), weir)) as url:
            self.assertEqual(ask(url, {"customer_id": ["a", "b", "ccc"]}), (200, {"model": "churn@3", "churn": [0.1, None, 0.3]}))
            self.assertEqual(ask(url, {"customer_id": "dd"}), (200, {"model": "churn@3", "churn": [0.2]}))
            self.assertEqual(ask(url, {"customer_id": ["b"]}), (200, {"model": "churn@3", "churn": [None]}))
            path, question = Weir.asked[0]
            self.assertEqual((path, question["service"]), ("/v1/lookup", "churn"))
            for wrong in ({}, ["a"], "a"):
                status, answer = ask(url, wrong)
                self.assertEqual(status, 400)
                self.assertIn("customer_id", answer["error"])

    def test_without_features_there_is_no_answer(self):
        with serving(predict.handler(Champion(), "http://127.0.0.1:9")) as url:
            status, answer = ask(url, {"customer_id": ["a"]})
            self.assertEqual(status, 503)
            self.assertIn("looked up", answer["error"])

    def test_another_champion_is_noticed(self):
        class Registry:
            version = "1"

            def get_model_version_by_alias(self, name, alias):
                return self if (name, alias) == ("churn", "champion") else None

        class Mlflow:
            loaded = []

            def __init__(self):
                self.sklearn = self

            def load_model(self, uri):
                self.loaded.append(uri)
                return uri

        registry, mlflow = Registry(), Mlflow()
        champion = predict.Champion(mlflow, registry)
        champion.refresh()
        champion.refresh()
        registry.version = "2"
        champion.refresh()
        self.assertEqual((mlflow.loaded, champion.version), (["models:/churn/1", "models:/churn/2"], "2"))
