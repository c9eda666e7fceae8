// Package simtest is the simulation of the way in: real pipelines with the real
// table and online writers on a Kafka in memory, in virtual time, with everything
// failing that can. One seed decides a run, and a plain map says how it must end.
//
// There is nothing here but tests. Read sim_test.go first.
package simtest
