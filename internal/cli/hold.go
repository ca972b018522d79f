package cli

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/freshet/freshet/internal/app"
	"github.com/freshet/freshet/internal/pipeline"
	"github.com/freshet/freshet/internal/server"
)

type holdCmd struct {
	Command      []string      `arg:"" optional:"" passthrough:"partial" name:"command" help:"What to run under the hold, with its arguments, after --."`
	Name         string        `placeholder:"NAME" help:"Name of the hold, under which others see it (default: one of its own)."`
	For          time.Duration `default:"30s" placeholder:"TIME" help:"When the hold ends if nobody renews it, which this command does as long as it runs (default 30s)."`
	Distribution []string      `placeholder:"ID" sep:"none" help:"Only what concerns this distribution is held (default: everything). May be given several times."`
	List         bool          `xor:"what" help:"Run nothing: list the holds, and what else changes wait for."`
	Release      string        `xor:"what" placeholder:"NAME" help:"Run nothing: end this hold."`
	JSON         bool          `name:"json" help:"With --list and --release, print JSON."`
}

// Help is shown below the flags.
func (holdCmd) Help() string {
	return `While a hold lasts changes gather, and nothing is invalidated. When it ends they go together, each
object once, so that a deploy of many files becomes one plan, and no viewer's request fills the
cache between two of them. The hold is a lease: it is renewed while the command runs, and ends by
itself when nobody renews it. It outlives a restart of the freshet that holds.

The exit code is that of the command. The same is had from the control API, with the token of
running.json in "Authorization: Bearer", at the CloudFront API's address:
  POST /_freshet/v1/hold          {"name": "deploy-7", "seconds": 30}    takes or renews it
  POST /_freshet/v1/hold/release  {"name": "deploy-7"}
  GET  /_freshet/v1/hold

Examples:
  freshet hold -- aws s3 sync ./public s3://site/
  freshet hold --for 2m --distribution E1ABCDEF -- make deploy
  freshet hold --list
  freshet hold --release deploy-7`
}

// Validate refuses what says too little or too much.
func (c *holdCmd) Validate() error {
	other := c.List || c.Release != ""
	switch {
	case other && len(c.Command) > 0:
		return errors.New("--list and --release run no command")
	case !other && len(c.Command) == 0:
		return errors.New("a command to run is missing, such as: freshet hold -- aws s3 sync ./public s3://site/")
	case c.For <= 0 || c.For > pipeline.LongestLease:
		return fmt.Errorf("--for=%v: more than nothing and at most %v are needed", c.For, pipeline.LongestLease)
	}
	return nil
}

// Run takes the hold, runs the command and releases it, whatever comes of the
// command.
func (c *holdCmd) Run(ctx context.Context, t terminal, r *root) error {
	cfg, err := r.load()
	if err != nil {
		return err
	}
	running, err := app.Client(cfg.Data)
	if err != nil {
		return err
	}
	switch {
	case c.List:
		return c.list(ctx, t, running)
	case c.Release != "":
		return c.release(ctx, t, running)
	}
	program, arguments := c.program()
	name := cmp.Or(c.Name, "hold-"+strings.ToLower(rand.Text()[:8]))
	hold := server.Hold{Name: name, Seconds: c.For.Seconds(), Distributions: c.Distribution}
	if _, err := running.Hold(ctx, hold); err != nil {
		return err
	}
	renewing, stop := context.WithCancel(ctx)
	renewed := make(chan struct{})
	go func() {
		defer close(renewed)
		renew(renewing, t, running, hold)
	}()
	ran := run(ctx, t, program, arguments)
	stop()
	<-renewed
	return errors.Join(ran, end(context.WithoutCancel(ctx), t, running, name))
}

// program is the command without the -- before it.
func (c *holdCmd) program() (name string, arguments []string) {
	command := c.Command
	if command[0] == "--" && len(command) > 1 {
		command = command[1:]
	}
	return command[0], command[1:]
}

// renew keeps the hold until ctx is done.
func renew(ctx context.Context, t terminal, running server.Client, hold server.Hold) {
	tick := time.NewTicker(max(hold.During()/3, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if _, err := running.Hold(ctx, hold); err != nil && ctx.Err() == nil {
			_, _ = fmt.Fprintf(t.err, "freshet: the hold is not renewed, and will be tried again: %v\n", err)
		}
	}
}

// lastSignal is how long a command may take to end that was asked to.
const lastSignal = 30 * time.Second

// run runs a command in the place of this one: what is read and written is its
// own, and so is the exit code.
func run(ctx context.Context, t terminal, name string, arguments []string) error {
	child := exec.CommandContext(ctx, name, arguments...)
	child.Stdin, child.Stdout, child.Stderr = t.in, t.out, t.err
	child.Cancel = func() error { return child.Process.Signal(syscall.SIGTERM) }
	child.WaitDelay = lastSignal
	err := child.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() >= 0 {
		return exitError{code: exit.ExitCode()}
	}
	if err != nil {
		return fmt.Errorf("run %s: %w", name, err)
	}
	return nil
}

// releaseWithin is how long the freshet that holds may take to let go.
const releaseWithin = 15 * time.Second

// end releases the hold, and says what had gathered.
func end(ctx context.Context, t terminal, running server.Client, name string) error {
	ctx, cancel := context.WithTimeout(ctx, releaseWithin)
	defer cancel()
	waits, _ := running.Waits(ctx)
	held, err := running.Release(ctx, name)
	if err != nil {
		return fmt.Errorf("release hold %s, which ends by itself: %w", name, err)
	}
	if !held {
		_, _ = fmt.Fprintf(t.err, "freshet: hold %s had ended by itself, so that some changes went before\n", name)
	}
	for _, w := range waits {
		if w.Lease == name {
			_, _ = fmt.Fprintf(t.err, "freshet: %s gathered under hold %s\n", count(w.Changes, "change"), name)
		}
	}
	return nil
}

func (c *holdCmd) release(ctx context.Context, t terminal, running server.Client) error {
	held, err := running.Release(ctx, c.Release)
	switch {
	case err != nil:
		return err
	case c.JSON:
		return printJSON(t.out, server.Released{Held: held})
	case !held:
		return fmt.Errorf("there is no hold %s; freshet hold --list shows those there are", c.Release)
	}
	_, err = fmt.Fprintf(t.out, "hold %s is released\n", c.Release)
	return err
}

func (c *holdCmd) list(ctx context.Context, t terminal, running server.Client) error {
	waits, err := running.Waits(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		for _, w := range waits {
			if err := printJSON(t.out, w); err != nil {
				return err
			}
		}
		return nil
	}
	if len(waits) == 0 {
		_, err := fmt.Fprintln(t.out, "nothing waits")
		return err
	}
	tw := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(tw, waitsHead)
	for _, w := range waits {
		_, _ = fmt.Fprintln(tw, strings.Join(waitsRow(w.Why, w.Changes, w.Since, w.Until, w.Distributions), "\t"))
	}
	return tw.Flush()
}

const waitsHead = "WAITS FOR\tCHANGES\tSINCE\tUNTIL\tDISTRIBUTIONS"

func waitsRow(why string, changes int, since, until time.Time, distributions []string) []string {
	end := "-"
	if !until.IsZero() {
		end = clock(until)
	}
	return []string{visible(why), fmt.Sprint(changes), clock(since), end, cmp.Or(strings.Join(distributions, " "), "all")}
}
