package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/freshet/freshet/internal/app"
	"github.com/freshet/freshet/internal/verify"
)

// sumLine is what sha256sum and md5sum print: a hash, two characters, and a name,
// with a backslash before all where the name has escapes.
var sumLine = regexp.MustCompile(`^(\\?)([0-9a-fA-F]{64}|[0-9a-fA-F]{32}) [ *](.+)$`)

// readManifest reads which files a site should have: the output of sha256sum or
// md5sum, or the files in a directory.
func readManifest(name string) ([]app.File, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("read the manifest: %w", err)
	}
	if info.IsDir() {
		return readTree(name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read the manifest: %w", err)
	}
	defer func() { _ = f.Close() }()
	var files []app.File
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		m := sumLine.FindStringSubmatch(lines.Text())
		if m == nil {
			return nil, exitError{exitUsage, fmt.Errorf("read the manifest: line %d of %s is none of sha256sum or md5sum", n, name)}
		}
		key := m[3]
		if m[1] != "" {
			key = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\r`, "\r").Replace(key)
		}
		file := app.File{Key: strings.TrimPrefix(key, "./"), Expected: verify.Expected{From: "the manifest"}}
		if sum := strings.ToLower(m[2]); len(sum) == 64 {
			file.Expected.SHA256 = sum
		} else {
			file.Expected.ETag = sum
		}
		files = append(files, file)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the manifest: %w", err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("read the manifest: there is no file in %s", name)
	}
	return files, nil
}

// readTree hashes the files in a directory, but for those whose names, or
// directories' names, begin with a dot.
func readTree(dir string) (files []app.File, err error) {
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		hidden := strings.HasPrefix(entry.Name(), ".") && path != dir
		switch {
		case err != nil:
			return err
		case hidden && entry.IsDir():
			return fs.SkipDir
		case hidden || !entry.Type().IsRegular():
			return nil
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		want := verify.Expected{From: dir, Opaque: true}
		if want.SHA256, want.Size, err = sumOf(path); err != nil {
			return err
		}
		files = append(files, app.File{Key: filepath.ToSlash(rel), Expected: want})
		return nil
	})
	if err == nil && len(files) == 0 {
		err = errors.New("there is no file in " + dir)
	}
	if err != nil {
		return nil, fmt.Errorf("read the manifest: %w", err)
	}
	return files, nil
}
