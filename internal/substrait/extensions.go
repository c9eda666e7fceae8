package substrait

import (
	"embed"
	_ "unsafe" // for go:linkname
)

//go:embed extensions/none.yaml
var none embed.FS

// folder is the variable of github.com/substrait-io/substrait. Its content is laid out
// by the compiler, so it needs no initialisation that would come after ours.
//
//go:linkname folder github.com/substrait-io/substrait.substraitExtensionsFS
var folder embed.FS

func init() { folder = none }
