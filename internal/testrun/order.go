package main

import (
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// longest are the packages whose tests take half a minute and more, the longest
// first. In the order of names the last of them would run alone at the end.
var longest = []string{
	"cmd/weir", "offline", "offline/iceberg", "ingest", "ingest/simtest", "ingest/audit",
	"internal/objects", "online/redis", "ingest/agreetest", "drift/sqlstore", "ingest/quarantine", "ingest/sinktest",
}

// ordered is the arguments of a go test of everything, with the longest packages
// named before ./...: go test starts packages in the order in which they are
// named, each once. Many of them mostly wait for servers, so one more package
// runs at a time than the machine has processors, unless -p says otherwise.
func ordered(args []string) []string {
	all := slices.Index(args, "./...")
	if all < 0 {
		return args
	}
	var first []string
	if !slices.ContainsFunc(args, func(a string) bool {
		return strings.TrimLeft(a, "-") == "p" || strings.HasPrefix(strings.TrimLeft(a, "-"), "p=")
	}) {
		first = append(first, "-p="+strconv.Itoa(runtime.GOMAXPROCS(0)+1))
	}
	first = append(first, args[:all]...)
	for _, p := range longest {
		first = append(first, "./"+p)
	}
	return append(first, args[all:]...)
}

// raceEnv spares every process under the race detector the second that it sleeps
// before it ends: there are hundreds, most of them commands that a test waits for.
func raceEnv() []string {
	if os.Getenv("GORACE") != "" {
		return nil
	}
	return []string{"GORACE=atexit_sleep_ms=0"}
}
