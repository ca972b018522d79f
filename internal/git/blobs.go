package git

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"sync"

	"github.com/freshet/freshet/internal/source/gitdiff"
)

// Blobs reads the content of files, one after the other, by one process of git
// for each repository that they are in. Its methods may be called concurrently,
// and wait for each other. Close it.
type Blobs struct {
	ctx  context.Context //nolint:containedctx // ends the processes, which live as long as Blobs does
	from *Repository

	mu    sync.Mutex
	flows map[string]*flow // by Leaf.In
}

// Blobs begins to read. Nothing is started before the first file is wanted.
func (r *Repository) Blobs(ctx context.Context) *Blobs {
	return &Blobs{ctx: ctx, from: r, flows: make(map[string]*flow)}
}

// Read returns the content of a file that has at most so many bytes.
func (b *Blobs) Read(l gitdiff.Leaf, most int64) (content []byte, err error) {
	err = b.Each(l, func(size int64, r io.Reader) error {
		if size > most {
			return fmt.Errorf("%s has %d bytes, at most %d are read", l.Path, size, most)
		}
		content, err = io.ReadAll(r)
		return err
	})
	return content, err
}

// Each calls read with the content of a file. What read leaves over is passed
// over.
func (b *Blobs) Each(l gitdiff.Leaf, read func(size int64, r io.Reader) error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	f, err := b.flow(l.In)
	if err == nil {
		err = f.one(l.Blob, read)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", l.Path, err)
	}
	return nil
}

// flow is a running git cat-file --batch.
// https://git-scm.com/docs/git-cat-file#_batch_output
type flow struct {
	ctx    context.Context //nolint:containedctx // as in Blobs
	cmd    *exec.Cmd
	ask    io.WriteCloser
	answer *bufio.Reader
	stderr bounded
	broken error // what was left unread, after which nothing can be made of what follows
}

func (b *Blobs) flow(in string) (*flow, error) {
	if f := b.flows[in]; f != nil {
		return f, f.broken
	}
	from := b.from
	if in != "" {
		sub, ok := b.from.at(b.ctx, in)
		if !ok {
			return nil, fmt.Errorf("the submodule %s is not checked out", in)
		}
		from = sub
	}
	f := &flow{ctx: b.ctx, cmd: from.command(b.ctx, "cat-file", "--batch")}
	f.stderr.most = mostStderr
	f.cmd.Stderr = &f.stderr
	var err error
	if f.ask, err = f.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := f.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	f.answer = bufio.NewReaderSize(out, 64<<10)
	if err := f.cmd.Start(); err != nil {
		return nil, failure(b.ctx, "cat-file", err, "")
	}
	b.flows[in] = f
	return f, nil
}

// one asks for a blob. The answer is "<id> blob <size>", the content and a line
// break.
func (f *flow) one(id string, read func(int64, io.Reader) error) error {
	if !gitdiff.IsID(id) {
		return fmt.Errorf("%q is no object ID", id)
	}
	if _, err := io.WriteString(f.ask, id+"\n"); err != nil {
		return f.fail(err)
	}
	head, err := f.answer.ReadString('\n')
	if err != nil {
		return f.fail(err)
	}
	fields := strings.Fields(head)
	if len(fields) == 2 && fields[1] == "missing" {
		return fmt.Errorf("the repository does not have its content, object %s", id)
	}
	if len(fields) != 3 {
		return f.fail(fmt.Errorf("git answered %q", head))
	}
	size, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil {
		return f.fail(fmt.Errorf("git answered %q", head))
	}
	content := &io.LimitedReader{R: f.answer, N: size}
	err = read(size, content)
	if _, rest := io.CopyN(io.Discard, f.answer, content.N+1); rest != nil {
		return errors.Join(err, f.fail(rest))
	}
	if err == nil && fields[1] != "blob" {
		err = fmt.Errorf("object %s is a %s, not a file", id, fields[1])
	}
	return err
}

// fail ends the process, since nobody knows any more where its answers begin.
func (f *flow) fail(err error) error {
	f.broken = failure(f.ctx, "cat-file", err, f.stderr.String())
	_ = f.cmd.Process.Kill()
	return f.broken
}

// Close ends the processes. It may be called twice.
func (b *Blobs) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var failed []error
	for in, f := range b.flows {
		_ = f.ask.Close()
		if err := f.cmd.Wait(); err != nil && f.broken == nil {
			failed = append(failed, failure(b.ctx, "cat-file", err, f.stderr.String()))
		}
		delete(b.flows, in)
	}
	return errors.Join(failed...)
}
