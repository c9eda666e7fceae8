package tabular

import (
	"path/filepath"
	"strings"

	"github.com/weir-ml/weir/registry/feature"
)

// Format is how a file holds its rows.
type Format string

const (
	CSV       Format = "csv"     // RFC 4180 with a header line; .tsv is the same with tabs
	JSONLines Format = "jsonl"   // one object a line
	Parquet   Format = "parquet" // Apache Parquet
	Arrow     Format = "arrow"   // Arrow IPC, the file or the stream form
)

// ParseFormat reads a format's name as people type it.
func ParseFormat(s string) (Format, error) {
	switch strings.ToLower(s) {
	case "csv", "tsv":
		return CSV, nil
	case "jsonl", "ndjson", "json":
		return JSONLines, nil
	case "parquet", "pq":
		return Parquet, nil
	case "arrow", "feather", "ipc", "arrows":
		return Arrow, nil
	}
	return "", feature.Errorf(feature.Invalid, "tabular.format", s, "unknown file format %q", s).
		WithHint("use csv, jsonl, parquet or arrow")
}

// FormatOf tells the format from a file's name. A last .gz or .zst is looked through.
func FormatOf(path string) (Format, error) {
	name, _ := compression(path)
	ext := strings.TrimPrefix(filepath.Ext(name), ".")
	f, err := ParseFormat(ext)
	if err != nil {
		return "", feature.Errorf(feature.Invalid, "tabular.format", path, "the file's ending %q does not tell its format", ext).
			WithHint("name it .csv, .tsv, .jsonl, .parquet or .arrow, or give the format")
	}
	return f, nil
}

// compression splits a path into the name without its compression's ending and that ending.
func compression(path string) (name, ext string) {
	switch e := strings.ToLower(filepath.Ext(path)); e {
	case ".gz", ".zst":
		return path[:len(path)-len(e)], e
	}
	return path, ""
}

// separator is the byte between the values of a line.
func separator(path string, asked byte) byte {
	name, _ := compression(path)
	switch {
	case asked != 0:
		return asked
	case strings.EqualFold(filepath.Ext(name), ".tsv"):
		return '\t'
	}
	return ','
}
