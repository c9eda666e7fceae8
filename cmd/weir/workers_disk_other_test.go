//go:build !linux

package main

import "testing"

// disk is a folder for the warehouse; here its disk cannot be made full.
type disk struct {
	dir     string
	mounted bool
}

func newDisk(t *testing.T, _ string, _ bool) *disk {
	t.Skip("SKIP(disk full): there is no tmpfs and no prlimit here")
	return nil
}

func (d *disk) full(*testing.T, []*process) {}
func (d *disk) free(*testing.T, []*process) {}
func (d *disk) refused() []string           { return nil }
