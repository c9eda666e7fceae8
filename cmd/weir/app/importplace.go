package app

import (
	"context"
	"io"
	"path/filepath"
	"strings"

	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/internal/objects"
	"github.com/weir-ml/weir/internal/tabular"
	"github.com/weir-ml/weir/registry/feature"
)

// positionsOf tells where a view's table stands.
func (a *App) positionsOf(ctx context.Context, v *feature.View) ([]feature.Position, error) {
	t, err := a.tables.Table(ctx, v)
	if err != nil {
		return nil, err
	}
	defer t.Close()
	return t.Positions(ctx)
}

// importPlace opens a location whose files this process reads itself: one of its
// machine only within the folders that the settings allow.
func (a *App) importPlace(ctx context.Context, location string) (ingest.ImportPlace, error) {
	const op = "ingest.import"
	if objects.IsS3(location) {
		return a.bucketPlace(ctx, location)
	}
	if strings.Contains(location, "://") {
		return nil, feature.Errorf(feature.Unsupported, op, location, "not a place that files are read from").WithHint("give s3://bucket/prefix, or a path on the server")
	}
	if !filepath.IsAbs(location) {
		return nil, feature.Errorf(feature.Invalid, op, location, "not an absolute path on the server").WithHint("begin it with the root; without --on-server files of this machine are sent")
	}
	refused := feature.Errorf(feature.Unauthorized, op, location, "the server reads no files there").
		WithHint("allow the folder in ingest.import_folders of the server, or leave --on-server out to send files")
	real, err := filepath.EvalSymlinks(location)
	for _, f := range a.cfg.Ingest.ImportFolders {
		if !within(filepath.Clean(location), filepath.Clean(f)) {
			continue
		}
		if err != nil { // only now: who may not read there may not learn either what is there
			return nil, feature.Errorf(feature.NotFound, op, location, "%w", err)
		}
		if root, err := filepath.EvalSymlinks(f); err == nil && within(real, root) {
			return ingest.Folder(real), nil
		}
	}
	return nil, refused
}

// bucketPlace opens a bucket below a prefix, or an object alone.
func (a *App) bucketPlace(ctx context.Context, location string) (ingest.ImportPlace, error) {
	location = strings.TrimRight(location, "/")
	if _, key, _ := objects.SplitS3(location); key != "" {
		if _, err := tabular.FormatOf(key); err == nil { // it may be an object, or a folder named like one
			cut := strings.LastIndexByte(location, '/')
			b, err := objects.Open(ctx, location[:cut], a.cfg.S3)
			if err != nil {
				return nil, err
			}
			if _, err := b.Stat(ctx, location[cut+1:]); err == nil {
				return bucketPlace{b, location[cut+1:]}, nil
			} else if feature.KindOf(err) != feature.NotFound {
				return nil, err
			}
		}
	}
	b, err := objects.Open(ctx, location, a.cfg.S3)
	if err != nil {
		return nil, err
	}
	return bucketPlace{b, ""}, nil
}

// bucketPlace is a bucket as a place of files; where only is not empty, that object alone.
type bucketPlace struct {
	objects.Bucket
	only string
}

func (b bucketPlace) Path(string) string { return "" }

func (b bucketPlace) Files(ctx context.Context, f func(ingest.ImportFile) error) error {
	if b.only != "" {
		o, err := b.Stat(ctx, b.only)
		if err != nil {
			return err
		}
		return f(importFile("", o))
	}
	return b.List(ctx, "", func(o objects.Object) error { return f(importFile(o.Key, o)) })
}

func (b bucketPlace) Read(ctx context.Context, name string) (io.ReadCloser, ingest.ImportFile, error) {
	key := name
	if key == "" {
		key = b.only
	}
	r, o, err := b.Get(ctx, key)
	if err != nil {
		return nil, ingest.ImportFile{}, err
	}
	return r, importFile(name, o), nil
}

func importFile(name string, o objects.Object) ingest.ImportFile {
	return ingest.ImportFile{Name: name, Size: o.Size, Version: o.ETag}
}

func within(path, folder string) bool {
	rel, err := filepath.Rel(folder, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}
