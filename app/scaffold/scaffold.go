package scaffold

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

//go:embed all:files
var files embed.FS

// ErrNotEmpty is the error of a folder in which there is something already.
var ErrNotEmpty = errors.New("there is something in it already")

// Files are those of the app.
func Files() fs.FS {
	sub, err := fs.Sub(files, "files")
	if err != nil {
		panic(err)
	}
	return sub
}

// Write makes an app in a folder, which is made if it is not there, and gives the names of its files. A folder that is
// not empty is left alone; what begins with a dot, such as .git, does not count.
func Write(dir string) (names []string, err error) {
	there, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("make an app: %w", err)
	}
	for _, entry := range there {
		if name := entry.Name(); name[0] != '.' || name == ".luarc.json" {
			return nil, fmt.Errorf("%w: %s", ErrNotEmpty, filepath.Join(dir, name))
		}
	}
	err = fs.WalkDir(Files(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(Files(), name)
		if err != nil {
			return err
		}
		names = append(names, name)
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		return os.WriteFile(path, text, 0o644)
	})
	if err != nil {
		return nil, fmt.Errorf("make an app: %w", err)
	}
	return names, nil
}
