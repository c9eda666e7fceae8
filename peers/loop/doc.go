// Package loop shows the whole loop with the real parts around it: the churn example's
// stream, Weir's binary on Kafka and Redis, MLflow, Airflow.
//
// The one rule: nothing is played. What the test sends to a program a person could send, and what
// it expects it reads from the program that ought to know.
//
// The tests have the tag loop, run by `make test-loop`, and print a timeline. Read TestLoop.
package loop
