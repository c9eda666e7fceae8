// Command testrun runs `go test` and tells what happened: failures in full, then
// every skipped test with its reason, then the counts, as last line
//
//	812 passed, 0 failed, 3 skipped
//
// It starts one Kafka and one PostgreSQL that all packages share, unless the
// environment names some. With -require (set by `make test` under CI, or where
// ../shared is) a test that skips because a server or ../shared is absent has failed.
//
// A test that skips with SKIP(race) measures what the race detector itself would
// change, or takes many times as long under it and has nothing for it to find: it
// is run once more without, and that run is the one that counts.
//
//	go run ./internal/testrun [-servers] [-require] -- -race ./...
//
// With -soak it is not a change that is judged: the tests that draw seeds (internal/testseed) run with new ones,
// again and again, for -time or until an interrupt, and each failure comes with the command that repeats it.
//
//	go run ./internal/testrun [-servers] [-require] -soak -time 30m -- -timeout=20m ./...
//
// Of ./... it has the longest packages start first, and one more at a time than
// the machine has processors.
//
// The one rule: it exits with 0 only if tests ran and none failed.
package main
