// Command weir is the whole of Weir: every role and every command in one binary.
package main

import (
	"os"

	"github.com/weir-ml/weir/cmd/weir/command"
)

func main() {
	os.Exit(command.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
