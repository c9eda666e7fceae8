package embedded

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/weir-ml/weir/registry/feature"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// verifyLog looks at the log before the broker does. The broker drops
// everything from the first unreadable batch of a segment on, which is right
// for the one case that a kill leaves behind (the last batch of a partition is
// half written) and would be a silent loss in every other.
func verifyLog(dir string) error {
	parts, err := os.ReadDir(filepath.Join(dir, "partitions"))
	if errors.Is(err, fs.ErrNotExist) {
		parts, err = nil, nil
	}
	if err != nil {
		return damaged(dir, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "meta.json")); errors.Is(err, fs.ErrNotExist) && len(parts) > 0 {
		return damaged(dir, errors.New("there are partitions but no meta.json"))
	}
	for _, p := range parts {
		if err := verifyPartition(filepath.Join(dir, "partitions", p.Name())); err != nil {
			return err
		}
	}
	return nil
}

func damaged(path string, err error) error {
	return feature.Errorf(feature.Internal, "embedded.kafka", path, "the log is damaged: %w", err).
		WithHint("restore the folder from a copy, or move it away to begin with an empty log; rows already in tables stay there")
}

func verifyPartition(dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return damaged(dir, err)
	}
	var bases []int64
	for _, f := range files {
		if s, ok := strings.CutSuffix(f.Name(), ".dat"); ok {
			if n, err := strconv.ParseInt(s, 10, 64); err == nil {
				bases = append(bases, n)
			}
		}
	}
	slices.Sort(bases)
	for i, b := range bases {
		path := filepath.Join(dir, strconv.FormatInt(b, 10)+".dat")
		if err := verifySegment(path, i == len(bases)-1); err != nil {
			return damaged(path, err)
		}
	}
	return nil
}

// verifySegment walks the record batches of one file:
//
//	first offset int64 | length int32 | leader epoch int32 | magic int8 | crc uint32 | the rest, which the crc covers
//
// In the last segment a batch that the file ends inside of, or that is the last
// thing in the file, may be unreadable.
func verifySegment(path string, last bool) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	r := bufio.NewReaderSize(f, 1<<20)
	var (
		pos  int64
		body []byte
		head [12]byte
	)
	for pos < info.Size() {
		rest := info.Size() - pos - int64(len(head))
		if rest < 0 {
			if last {
				return nil
			}
			return fmt.Errorf("no batch begins at byte %d", pos)
		}
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return err
		}
		length := int64(int32(binary.BigEndian.Uint32(head[8:])))
		if length < 9 || length > rest {
			if last && ((length > rest && length <= maxRequestBytes) || (length == 0 && zeros(r))) {
				return nil
			}
			return fmt.Errorf("no batch begins at byte %d", pos)
		}
		body = slices.Grow(body[:0], int(length))[:length]
		if _, err := io.ReadFull(r, body); err != nil {
			return err
		}
		if crc32.Checksum(body[9:], castagnoli) != binary.BigEndian.Uint32(body[5:9]) {
			if last && length == rest {
				return nil
			}
			return fmt.Errorf("the batch at byte %d does not match its checksum", pos)
		}
		pos += int64(len(head)) + length
	}
	return nil
}

// zeros reports whether nothing but zeros is left: what a file system leaves
// when the machine, not just the process, died while the file grew.
func zeros(r *bufio.Reader) bool {
	for {
		b, err := r.ReadByte()
		if err != nil {
			return true
		}
		if b != 0 {
			return false
		}
	}
}
