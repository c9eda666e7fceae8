// Package native starts real servers as children of this process, without a
// container engine: Apache Kafka on a Java runtime, Redis, and PostgreSQL. It is
// for tests and the commands that run them.
//
// The one rule: a child never outlives the process that started it.
//
// Read Process first.
package native
