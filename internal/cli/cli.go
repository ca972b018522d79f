// Package cli is the command line.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/alecthomas/kong"
	kongcompletion "github.com/jotaen/kong-completion"

	"github.com/freshet/freshet/internal/awssetup"
	"github.com/freshet/freshet/internal/config"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
	exitSome   = 3 // some invalidations failed
	exitStale  = 4 // sent, but seen stale
	exitLate   = 5 // fresh later than was promised
	exitNoEdge = 6 // an edge did not answer, so that nothing is known of it
	exitUnsure = 7 // answered, and nothing to compare it with
)

// root is the grammar.
type root struct {
	Config  string `short:"c" placeholder:"FILE" type:"path" help:"Configuration file (default: freshet.yaml in the working directory, if there is one)." env:"FRESHET_CONFIG"`
	Data    string `placeholder:"DIR" type:"path" help:"Data directory: keys, objects, queue and journal (default: .freshet)." env:"FRESHET_DATA"`
	Verbose bool   `short:"v" help:"Say more on standard error."`

	Up         upCmd         `cmd:"" help:"Run a bucket, an edge, the CloudFront API and the pipeline between them on this machine."`
	Log        logCmd        `cmd:"" help:"Show what happened to every change."`
	Top        topCmd        `cmd:"" help:"Watch what the edge serves and what is invalidated, second by second."`
	Plan       planCmd       `cmd:"" help:"Show what would be invalidated for some events or keys, and send nothing."`
	Apply      applyCmd      `cmd:"" help:"Send a plan that freshet plan wrote to a file."`
	Deploy     deployCmd     `cmd:"" help:"Send a site into a bucket, and invalidate exactly what that made stale."`
	Rollback   rollbackCmd   `cmd:"" help:"Lead viewers back to an earlier release of a site that is deployed with --atomic."`
	Releases   releasesCmd   `cmd:"" help:"List the releases of a site that is deployed with --atomic."`
	Explain    explainCmd    `cmd:"" help:"Show the way from an object to its URLs, or from a URL to its objects."`
	Invalidate invalidateCmd `cmd:"" help:"Invalidate paths and wait until they are gone."`
	Wait       waitCmd       `cmd:"" help:"Wait until something is true: a function updated, a distribution deployed, an origin fresh."`
	Verify     verifyCmd     `cmd:"" help:"See whether viewers get what the origin holds: every variant, at every address."`
	Warm       warmCmd       `cmd:"" help:"Have the edge fetch what viewers will ask for, hottest first."`
	Release    releaseCmd    `cmd:"" help:"Bring new code to where it answers, and then clear what was cached of the old one."`
	Doctor     doctorCmd     `cmd:"" help:"Check what stands between a bucket and its viewers, and say what to do."`
	Function   functionCmd   `cmd:"" help:"Run CloudFront functions on this machine."`
	AWS        awsCmd        `cmd:"" name:"aws" help:"Set freshet up in an AWS account."`
	Retry      retryCmd      `cmd:"" help:"Try the dead letters again."`
	Hold       holdCmd       `cmd:"" help:"Run a command while changes gather, so that they are invalidated together."`
	Chaos      chaosCmd      `cmd:"" help:"Have calls of the running CloudFront API go wrong on purpose."`
	ConfigCmd  configCmd     `cmd:"" name:"config" help:"Check or show the configuration."`
	Version    versionCmd    `cmd:"" help:"Print the version."`
	Completion completionCmd `cmd:"" help:"Print the shell code that turns on tab completion."`
}

const description = `Keep CDN caches fresh: exactly what changed, at the least cost, proven at the edge.

Examples:
  freshet up ./site                   a bucket and a CDN on this machine, kept fresh from ./site
  freshet top                         watch requests, hits, hottest paths and invalidations
  freshet log --follow                watch every change on its way
  freshet invalidate '/blog/*'        clear by hand, and wait until it is done
  freshet plan event.json             see what an S3 event would invalidate
  freshet explain /blog/              see which object answers, and what removes it from the cache
  freshet verify / /app.js            see what viewers get, in every encoding
  freshet warm --sitemap /sitemap.xml fill the cache before viewers come
  freshet doctor --canary             check the whole way from bucket to viewer
  freshet plan --git v1..v2           see what a range of commits would invalidate

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 some of it failed, 4 sent but seen stale, 5 fresh
later than was promised, 6 an edge did not answer, 7 nothing to compare with.`

// terminal is where a command reads and writes.
type terminal struct {
	in       io.Reader
	out, err io.Writer
}

// exitError ends the program with a code; its error has been shown if it is
// nil.
type exitError struct {
	code int
	err  error
}

func (e exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e exitError) Unwrap() error { return e.err }

func usageError(format string, args ...any) error {
	return exitError{exitUsage, fmt.Errorf(format, args...)}
}

// Main runs one command and returns its exit code.
func Main(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	t := terminal{stdin, stdout, stderr}
	var r root
	code := -1
	parser, err := kong.New(&r,
		kong.Name("freshet"), kong.Description(description), kong.Writers(stdout, stderr),
		kong.Vars{"awsName": awssetup.DefaultName},
		kong.Exit(func(c int) { code = c; panic(exitNow{}) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true, WrapUpperBound: 110}),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(t, &r),
	)
	if err != nil {
		return report(t, err)
	}
	return runCommand(parser, args, t, &code)
}

// exitNow leaves the parser where it would have ended the process, such as after
// --help.
type exitNow struct{}

func runCommand(parser *kong.Kong, args []string, t terminal, code *int) (result int) {
	defer func() {
		if left := recover(); left != nil {
			if _, ok := left.(exitNow); !ok {
				panic(left)
			}
			result = *code
		}
	}()
	kongcompletion.Register(parser) // ends here when a shell asks for completions
	k, err := parser.Parse(args)
	if err != nil {
		return report(t, exitError{exitUsage, err})
	}
	return report(t, k.Run())
}

// report shows err, if there is one to show, and returns the exit code.
func report(t terminal, err error) int {
	if err == nil {
		return exitDone
	}
	code := exitFailed
	var exit exitError
	if errors.As(err, &exit) {
		code = exit.code
	}
	if exit.code == 0 || exit.err != nil {
		_, _ = fmt.Fprintf(t.err, "freshet: %v\n", err)
	}
	var usage *kong.ParseError
	if errors.As(err, &usage) {
		_, _ = fmt.Fprintf(t.err, "Try: %s --help\n", usage.Context.Model.Name+commandPath(usage.Context))
	}
	return code
}

func commandPath(k *kong.Context) string {
	if c := k.Command(); c != "" {
		return " " + c
	}
	return ""
}

// load returns the configuration with the global flags applied.
func (r *root) load() (config.Config, error) {
	path, must := config.File, false
	if r.Config != "" {
		path, must = r.Config, true
	}
	c, err := config.Load(path, must)
	if r.Data != "" {
		c.Data = r.Data
	}
	return c, err
}

// logger writes warnings to standard error, and more with --verbose.
func (r *root) logger(t terminal) *slog.Logger {
	level := slog.LevelWarn
	if r.Verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(t.err, &slog.HandlerOptions{Level: level, ReplaceAttr: withoutDate}))
}

func withoutDate(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.String(a.Key, a.Value.Time().Format("15:04:05.000"))
	}
	return a
}

// printJSON writes v as one line.
func printJSON(w io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("print: %w", err)
	}
	_, err = w.Write(append(text, '\n'))
	return err
}

// isTerminal reports whether w is a person's screen that takes colours.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
