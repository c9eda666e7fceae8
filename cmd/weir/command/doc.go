// Package command is the command line: one file a command. A command parses its
// flags, speaks to a running Weir over gRPC (or starts one), and prints a table
// for people or, with -o json, stable JSON.
//
// The one rule: exit code 0 is fine, 1 means the answer is no, 2 is wrong use or a fault.
package command
