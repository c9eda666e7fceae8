// Package substrait keeps the start of every command short. A program that imports it
// does not load the functions of Substrait, an exchange format for query plans, which
// nothing in Weir asks for.
//
// Iceberg's Go library translates the filters of its own scans to Substrait, and reads
// 200 KiB of YAML for that while the program starts, whatever the program is about to
// do: 75 to 120 ms of CPU time and 32 MB, in `weir version` too. Weir reads and writes
// its tables by itself (offline/iceberg) and never has the library scan; only tests do,
// as a second opinion, and they do without this package. So the folder with those files
// gives way to one without functions before the library looks into it.
//
// That rests on two things. Packages are initialised in the order of their paths among
// those whose imports are ready (Go 1.21 and later), and the library waits for
// google.golang.org/protobuf, which sorts after this package. And the variable of the
// folder, which github.com/substrait-io/substrait does not export, keeps its name.
// Where either changes, starting is slow again and nothing else happens: TestStartsLight
// in cmd/weir then fails.
package substrait
