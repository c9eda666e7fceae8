package app

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/weir-ml/weir/ingest"
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
func (a *App) importPlace(_ context.Context, location string) (ingest.ImportPlace, error) {
	const op = "ingest.import"
	if strings.Contains(location, "://") {
		return nil, feature.Errorf(feature.Unsupported, op, location, "not a place that files are read from").WithHint("give a path on the server")
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

func within(path, folder string) bool {
	rel, err := filepath.Rel(folder, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}
