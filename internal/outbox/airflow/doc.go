// Package airflow delivers retraining events to Apache Airflow 3 as runs of a DAG, by
// its REST API.
//
// The one rule: a run is named after its event. Airflow refuses a second run of that
// name, so an event that is sent again starts nothing, and the refusal is the receipt.
//
// Read Deliverer.
package airflow
