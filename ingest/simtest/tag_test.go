//go:build synctests

package simtest

import "testing"

func tagged(*testing.T) bool { return true }
