"""Has MLflow tell Weir when a version gets or loses an alias. Once; the secret is the one of Weir's mlflow.webhook_secret.

    MLFLOW_WEBHOOK_SECRET=... python webhook.py

Without it Weir learns of a new champion all the same, when it asks MLflow the next time (mlflow.sync). MLflow calls
private addresses, and plain HTTP, only with MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS=true and MLFLOW_WEBHOOK_ALLOWED_SCHEMES=http,https.
"""

import os

import mlflow

EVENTS = ["model_version_alias.created", "model_version_alias.deleted"]

if __name__ == "__main__":
    url = os.environ.get("CHURN_HTTP", "http://127.0.0.1:6566") + "/v1/hooks/mlflow"
    client = mlflow.MlflowClient()
    for old in client.list_webhooks():
        if old.url == url:
            client.delete_webhook(old.webhook_id)
    made = client.create_webhook("weir", url, EVENTS, secret=os.environ["MLFLOW_WEBHOOK_SECRET"])
    print(made.webhook_id)
