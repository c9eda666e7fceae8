"""The customers of a telecom: who they are, and who of them has left.

Real ones where there is a copy of the public Telco customer churn table (CHURN_CSV), else made up to look like them.
"""

import csv
import math
import os
import random

CONTRACTS = ["Month-to-month", "One year", "Two year"]
INTERNET = ["DSL", "Fiber optic", "No"]
PAYMENTS = ["Electronic check", "Mailed check", "Bank transfer (automatic)", "Credit card (automatic)"]
PRICES = {"DSL": 45.0, "Fiber optic": 75.0, "No": 20.0}


def load(path=None):
    """All customers, in the same order each time."""
    path = path or os.environ.get("CHURN_CSV")
    return real(path) if path else synthetic()


def real(path):
    with open(path, newline="") as f:
        return [
            {
                "customer_id": r["customerID"],
                "tenure": int(r["tenure"]),
                "monthly_charges": float(r["MonthlyCharges"]),
                "total_charges": float(r["TotalCharges"]) if r["TotalCharges"].strip() else None,
                "contract": r["Contract"],
                "internet": r["InternetService"],
                "payment_method": r["PaymentMethod"],
                "gender": r["gender"],
                "churned": r["Churn"] == "Yes",
            }
            for r in csv.DictReader(f)
        ]


def synthetic(n=7000, seed=7):
    """Customers by the rules of thumb that hold in the real table: the new ones pay by the month, are cheaper, and leave."""
    rng = random.Random(seed)
    out = []
    for i in range(n):
        tenure = rng.randint(0, 72)
        bound = tenure / 72
        contract = rng.choices(CONTRACTS, [1.3 - bound, 0.25, bound])[0]
        internet = rng.choices(INTERNET, [0.4, 0.25 + 0.3 * bound, 0.25])[0]
        monthly = round(PRICES[internet] + 20 * bound + abs(rng.gauss(0, 8)), 2)
        odds = -0.4 - 3 * bound + {"Month-to-month": 1.2, "One year": -0.6, "Two year": -1.8}[contract] + 1.1 * (internet == "Fiber optic")
        out.append(
            {
                "customer_id": f"C{i:05d}",
                "tenure": tenure,
                "monthly_charges": monthly,
                "total_charges": round(monthly * tenure, 2) if tenure else None,
                "contract": contract,
                "internet": internet,
                "payment_method": rng.choice(PAYMENTS),
                "gender": rng.choice(["Female", "Male"]),
                "churned": rng.random() < 1 / (1 + math.exp(-odds)),
            }
        )
    return out


def loyal(customers):
    """Whom the first model knows: customers of two years and more."""
    return [c for c in customers if c["tenure"] >= 24]


def newcomers(customers):
    """Whom a campaign brings: customers of the last months. To the first model they are strangers."""
    return [c for c in customers if c["tenure"] < 6]
