package tabular

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// The hidden file that rows gather in is called .NAME.8-hex-digits.part and is locked
// by whoever writes it. One that nobody holds was left by a process that was killed:
// the next one that writes NAME removes it.

// newTemp makes the hidden file of a path, and removes those that were left behind.
func newTemp(path string) (*os.File, error) {
	dir, base := filepath.Split(path)
	sweepTemps(dir, base)
	for range 100 {
		name := filepath.Join(dir, fmt.Sprintf(".%s.%08x.part", base, rand.Uint32()))
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
		if errors.Is(err, os.ErrExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if ours(f, name) {
			return f, nil
		}
		f.Close() // somebody who sweeps came between; it is gone
	}
	return nil, errors.New("no free name for the unfinished file")
}

// ours locks a new file, and tells whether it is still there.
func ours(f *os.File, name string) bool {
	if locked, known := tryLock(f); known && !locked {
		return false
	}
	is, err := os.Stat(name)
	mine, ferr := f.Stat()
	return err == nil && ferr == nil && os.SameFile(is, mine)
}

var tempName = regexp.MustCompile(`^[0-9a-f]{8}\.part$`)

// sweepTemps removes what nobody holds. What cannot be removed stays: that is no
// reason not to write.
func sweepTemps(dir, base string) {
	all, err := os.ReadDir(filepath.Clean(dir + "."))
	if err != nil {
		return
	}
	for _, e := range all {
		rest, ok := strings.CutPrefix(e.Name(), "."+base+".")
		if !ok || !tempName.MatchString(rest) || !e.Type().IsRegular() {
			continue
		}
		name := filepath.Join(dir, e.Name())
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			continue
		}
		if locked, known := tryLock(f); known && locked {
			_ = os.Remove(name)
		}
		f.Close()
	}
}
