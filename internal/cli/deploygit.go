package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/freshet/freshet/internal/deploy"
	"github.com/freshet/freshet/internal/deploy/conduct"
	"github.com/freshet/freshet/internal/deploy/shelf"
	"github.com/freshet/freshet/internal/deploy/tree"
	"github.com/freshet/freshet/internal/git"
	"github.com/freshet/freshet/internal/source/gitdiff"
)

// fromCommit is a site as it is in a commit.
type fromCommit struct {
	*deployCmd
	rules deploy.Rules
	site  *deploySite
	show  *deployScreen

	repo   *git.Repository
	span   git.Span
	last   *deploy.Deploy          // nil: none is on record
	leaves map[string]gitdiff.Leaf // of the commit, by key below the site
	blobs  *git.Blobs
}

// chosen is what of a site is compared, and what it is to be there.
type chosen struct {
	want   []conduct.Wanted
	about  func(key string) bool // nil: everything
	commit string
	close  func() error
}

// lastDeploy reads what is on record beside the site.
func (s *deploySite) lastDeploy(ctx context.Context) (*deploy.Deploy, error) {
	var text shelf.Document
	text, err := s.shelf.Get(ctx, conduct.DeployName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return deploy.DecodeDeploy(text.Text)
}

// verifiedCommit is what the last deploy was built from that was verified; empty
// where none was, or nobody knows.
func verifiedCommit(last *deploy.Deploy) string {
	if last == nil || last.Verified == nil {
		return ""
	}
	return last.Verified.Commit
}

// choose finds out what the range touched, and what the site has there.
func (f *fromCommit) choose(ctx context.Context, t terminal) (chosen, error) {
	f.show.doing("reading the commits " + f.Git)
	var err error
	if f.last, err = f.site.lastDeploy(ctx); err != nil {
		return chosen{}, err
	}
	base := func(context.Context) (string, error) { return verifiedCommit(f.last), nil }
	if f.repo, f.span, err = f.commits.span(ctx, t, base); err != nil {
		return chosen{}, err
	}
	if f.span.Way == git.Gone {
		return chosen{}, exitError{exitUsage, errors.New("the branch was deleted: there is no commit to deploy")}
	}
	if err := f.read(ctx); err != nil {
		return chosen{}, err
	}
	f.blobs = f.repo.Blobs(ctx)
	c := chosen{commit: f.span.Head.ID, close: f.blobs.Close}
	touched, whole, err := f.touched(ctx)
	if err == nil {
		c.want, c.about, err = f.want(ctx, touched, whole)
	}
	if err != nil {
		return chosen{}, errors.Join(err, c.close())
	}
	return c, nil
}

// read lists what of the commit belongs to the site.
func (f *fromCommit) read(ctx context.Context) error {
	all, err := f.repo.Tree(ctx, f.span.Head.ID)
	if err != nil {
		return err
	}
	f.leaves = make(map[string]gitdiff.Leaf)
	var problems []error
	rules := f.commits.rules()
	for _, l := range all {
		for _, key := range rules.Keys(l.Path) {
			if other, twice := f.leaves[key]; twice {
				problems = append(problems, fmt.Errorf("%s is to be made of both %s and %s", key, other.Path, l.Path))
			}
			f.leaves[key] = l
		}
		if l.Mode == gitdiff.Submodule && rules.About(l.Path) {
			problems = append(problems, fmt.Errorf("the submodule %s is not checked out here, so that its files cannot be sent: git submodule update --init %s", l.Path, l.Path))
		}
	}
	if len(f.leaves) == 0 && len(f.rules.Redirects) == 0 {
		problems = append(problems, fmt.Errorf("the commit %s has no files of the site: is --path right?", f.span.Head.ID))
	}
	return errors.Join(problems...)
}

// touched are the keys below the site that may differ from what the bucket holds.
// whole is true where that may be all of them, and the reason was shown.
func (f *fromCommit) touched(ctx context.Context) (keys map[string]bool, whole bool, err error) {
	why := ""
	switch {
	case f.Full || f.Atomic != "": // a release has all of the site
		return nil, true, nil
	case f.span.Whole():
		why = f.span.Note
	case f.last == nil:
		why = "no deploy is on record beside the site"
	case f.last.Commit == "":
		why = "the last deploy did not say which commit it was"
	}
	if why != "" {
		f.show.note("everything is compared: %s", why)
		return nil, true, nil
	}
	if f.span.Note != "" {
		f.show.note("%s", f.span.Note)
	}
	keys = make(map[string]bool)
	closed, err := f.add(ctx, keys, f.span)
	if err != nil {
		return nil, false, err
	}
	since, err := f.repo.Span(ctx, f.last.Commit, f.span.Head.ID)
	if err == nil && !since.Whole() {
		var also string
		also, err = f.add(ctx, keys, since)
		closed = firstOf(closed, also)
	}
	if since.Whole() || errors.Is(err, git.ErrUnknown) {
		f.show.note("everything is compared: the commit of the last deploy is not here, %s", f.last.Commit)
		return nil, true, nil
	}
	if err == nil && closed != "" {
		f.show.note("everything is compared: what the submodule %s held is not known", closed)
		return nil, true, nil
	}
	// What a deploy that died has sent is nobody's commit.
	for _, s := range f.last.Steps {
		if below, ok := strings.CutPrefix(s.Object.Key, f.site.prefix); ok && !f.last.Over {
			keys[below], keys[withoutEncoding(below)] = true, true
		}
	}
	if keys[tree.IgnoreFile] {
		f.show.note("everything is compared: %s is another", tree.IgnoreFile)
		return nil, true, nil
	}
	return keys, false, err
}

// add adds the keys of what a span touched. closed is a submodule of the site that
// it touched, whose files before or after are not here; empty for none.
func (f *fromCommit) add(ctx context.Context, keys map[string]bool, s git.Span) (closed string, err error) {
	entries, err := f.repo.Entries(ctx, s)
	if err != nil {
		return "", err
	}
	rules := f.commits.rules()
	for _, e := range entries {
		for _, key := range rules.Keys(e.Path) {
			keys[key] = true
		}
		if (e.OldMode == gitdiff.Submodule || e.NewMode == gitdiff.Submodule) && rules.About(e.Path) {
			closed = e.Path
		}
	}
	return closed, nil
}

// withoutEncoding is the key of the file that a compressed one stands beside.
func withoutEncoding(key string) string {
	for _, e := range []string{deploy.Gzip, deploy.Brotli} {
		key = strings.TrimSuffix(key, deploy.Suffix(e))
	}
	return key
}

// want reads the files of the site that may differ, and says what becomes of
// them.
func (f *fromCommit) want(ctx context.Context, touched map[string]bool, whole bool) ([]conduct.Wanted, func(string) bool, error) {
	entries, err := f.entries(touched, whole)
	if err != nil {
		return nil, nil, err
	}
	slices.SortFunc(entries, func(a, b tree.Entry) int { return strings.Compare(a.Path, b.Path) })
	var memory *tree.Memory
	if cache, err := os.UserCacheDir(); err == nil && whole && !f.NoMemory {
		memory = tree.OpenMemory(cache+"/freshet/hashes", f.repo.GitDir)
	}
	files, err := tree.Hash(ctx, entries, memory, f.show.hashed)
	if err != nil {
		return nil, nil, err
	}
	if err := memory.Save(); err != nil {
		f.show.note("freshet: %v", err)
	}
	want, err := wantedOf(f.rules, f.site, files)
	if whole {
		return want, nil, err
	}
	f.show.note("%s..%s touched %s", abbreviated(f.span.Base.ID), abbreviated(f.span.Head.ID), count(len(touched), "file"))
	wanted := make(map[string]bool, len(want))
	for _, w := range want {
		wanted[w.Key] = true
	}
	return want, func(key string) bool {
		below, ok := strings.CutPrefix(key, f.site.prefix)
		return wanted[key] || ok && (touched[below] || touched[withoutEncoding(below)])
	}, err
}

// entries are the files that may differ.
func (f *fromCommit) entries(touched map[string]bool, whole bool) ([]tree.Entry, error) {
	belongs, err := f.filter()
	if err != nil {
		return nil, err
	}
	var entries []tree.Entry
	var problems []error
	for key, l := range f.leaves {
		switch {
		case !whole && !touched[key] || !belongs(key):
		case l.Mode == gitdiff.Link && f.Symlinks == string(tree.Skip):
		case l.Mode == gitdiff.Link:
			problems = append(problems, fmt.Errorf("%s: the link leads out of the commit or nowhere: --symlinks skip leaves it out", l.Path))
		case tree.CheckPath(key) != nil:
			problems = append(problems, tree.CheckPath(key))
		default:
			entries = append(entries, f.entry(key, l))
		}
	}
	return entries, errors.Join(problems...)
}

// filter says what of the commit's files belongs to the site.
func (f *fromCommit) filter() (func(string) bool, error) {
	o := tree.Options{Ignore: f.rules.Ignore, Hidden: f.rules.Hidden}
	own, has := f.leaves[tree.IgnoreFile]
	if !has || !own.Mode.IsFile() {
		return o.Filter(""), nil
	}
	text, err := f.blobs.Read(own, 1<<20)
	return o.Filter(string(text)), err
}

// entry is a file of the commit.
func (f *fromCommit) entry(key string, l gitdiff.Leaf) tree.Entry {
	return tree.Entry{Path: key, Size: l.Size, Stamp: "git " + l.Blob, Open: func() (content tree.Content, err error) {
		err = f.blobs.Each(l, func(size int64, r io.Reader) error {
			content, err = hold(size, r)
			return err
		})
		return content, err
	}}
}

// inMemory is how large a file may be that is held in memory while it is sent.
const inMemory = 1 << 20

// lfs begins the files that Git LFS puts in the place of others.
// https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
const lfs = "version https://git-lfs.github.com/spec/v1\n"

// hold takes a file out of git, which gives one after the other.
func hold(size int64, r io.Reader) (tree.Content, error) {
	if size <= inMemory {
		text := make([]byte, size)
		if _, err := io.ReadFull(r, text); err != nil {
			return nil, err
		}
		if bytes.HasPrefix(text, []byte(lfs)) {
			return nil, errors.New("it is a pointer of Git LFS, and what it points at is not in the commit: deploy the directory, after git lfs pull")
		}
		return held{bytes.NewReader(text)}, nil
	}
	file, err := os.CreateTemp("", "freshet-*")
	if err != nil {
		return nil, err
	}
	t := temporary{file}
	if _, err := io.Copy(file, r); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

type held struct{ *bytes.Reader }

func (held) Close() error { return nil }

type temporary struct{ *os.File }

// Close removes the file as well.
func (t temporary) Close() error { return errors.Join(t.File.Close(), os.Remove(t.Name())) }

func abbreviated(id string) string { return id[:min(len(id), 12)] }
