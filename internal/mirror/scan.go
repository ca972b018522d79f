package mirror

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// ignored reports whether a file or directory of that name is none of the
// site's: version control, our own state, and what editors and desktops leave
// beside a file for a while.
func ignored(name string) bool {
	switch name {
	case ".git", ".freshet", ".DS_Store", "4913": // 4913 is vim's probe for a writable directory
		return true
	}
	for _, pattern := range [...]string{"*.swp", "*.swo", "*.swx", "*~", ".#*", "#*#", ".goutputstream-*", "*___jb_tmp___", "*___jb_old___"} {
		if ok, _ := filepath.Match(pattern, name); ok {
			return true
		}
	}
	return false
}

// wanted reports whether the path below the root is to be mirrored, judged by
// its name.
func (m *mirror) wanted(path string) bool {
	rel, err := filepath.Rel(m.root, path)
	if err != nil || rel == "." || !filepath.IsLocal(rel) {
		return false
	}
	for name := range strings.SplitSeq(filepath.ToSlash(rel), "/") {
		if ignored(name) {
			return false
		}
	}
	own, err := filepath.Abs(m.config.Manifest)
	return err != nil || path != own && path != own+".next"
}

func (m *mirror) keyOf(path string) string {
	rel, err := filepath.Rel(m.root, path)
	if err != nil {
		return ""
	}
	return filepath.ToSlash(rel)
}

func (m *mirror) pathOf(key string) string {
	return filepath.Join(m.root, filepath.FromSlash(key))
}

// scan watches dir and everything below it and returns the files. Directories
// are watched before they are read, so that nothing is missed.
func (s *session) scan(dir string) (files []string) {
	s.watch.add(dir)
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		s.problem(fmt.Errorf("read directory: %w", err))
	}
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		switch {
		case !s.wanted(path):
		case !utf8.ValidString(entry.Name()):
			s.problem(fmt.Errorf("%q is skipped: an object key must be valid UTF-8", path))
		case entry.IsDir():
			files = append(files, s.scan(path)...)
		default:
			files = append(files, path)
		}
	}
	return files
}
