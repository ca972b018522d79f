package conduct

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/deploy"
	"github.com/freshet/freshet/internal/deploy/shelf"
)

// Event is a step of a deploy, for people who watch.
type Event struct {
	Stage   Stage
	Objects int   // of the stage, all
	Bytes   int64 // likewise
	Done    *Done // one more object; nil where a stage begins
	Note    string
}

// Done is one object that is through.
type Done struct {
	Step deploy.Step
	Size int64
}

// Stage is what a deploy is at.
type Stage string

// The stages.
const (
	Sending      Stage = "sending"
	Deleting     Stage = "deleting"
	Switching    Stage = "switching"
	Invalidating Stage = "invalidating"
	Waiting      Stage = "waiting"
	Verifying    Stage = "verifying"
	Finishing    Stage = "finishing" // what an earlier deploy has left
	Warming      Stage = "warming"   // told by who warms, which is not the conductor
	Noting       Stage = ""          // something to be said
)

// Result is what became of a deploy.
type Result struct {
	Deploy   *deploy.Deploy
	Verdicts []freshet.Verdict
	Sent     time.Time // when the last object was sent
	Ended    time.Time
}

const defaultLease = time.Minute

// Run does what was prepared, and first what an earlier deploy has left. The
// results are in this order. What somebody else has changed meanwhile is
// prepared anew, so that the plan may be another than before; agreed is asked
// about that one, and may refuse it with an error.
func (p *Prepared) Run(ctx context.Context, agreed func(*Prepared) error) (results []Result, err error) {
	if p.Nothing() {
		return nil, nil
	}
	if p.cfg.NoLock {
		return p.locked(ctx)
	}
	lease := p.cfg.Lease
	if lease == 0 {
		lease = defaultLease
	}
	lock, err := p.acquire(ctx, lease)
	if err != nil {
		return nil, err
	}
	if by := lock.TakenFrom(); by != "" {
		p.cfg.Report(Event{Note: fmt.Sprintf("took the lock over from %s, which is no more, or was silent for too long", by)})
	}
	working, stop := context.WithCancelCause(ctx)
	kept := make(chan struct{})
	go func() {
		defer close(kept)
		if err := lock.Keep(working); err != nil {
			stop(err)
		}
	}()
	defer func() {
		lost := context.Cause(working)
		stop(nil)
		<-kept
		if errors.Is(lost, shelf.ErrLost) {
			err = errors.Join(lost, err)
			return
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		err = errors.Join(err, lock.Release(ctx))
	}()
	if p, err = p.current(working, agreed); err != nil {
		return nil, err
	}
	return p.locked(working)
}

// acquire waits for the lock as long as it is worth it.
func (p *Prepared) acquire(ctx context.Context, lease time.Duration) (*shelf.Lock, error) {
	const look = 2 * time.Second
	end := time.Now().Add(p.cfg.Patience)
	for told := false; ; told = true {
		lock, err := shelf.Acquire(ctx, p.cfg.Shelf, p.cfg.Holder, lease)
		var held *shelf.Held
		if !errors.As(err, &held) || time.Now().Add(look).After(end) {
			return lock, err
		}
		if !told {
			p.cfg.Report(Event{Note: fmt.Sprintf("waiting for another deploy: %s holds the lock", held.Holder)})
		}
		select {
		case <-time.After(look):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// current is p, or what takes its place when somebody has deployed since.
func (p *Prepared) current(ctx context.Context, agreed func(*Prepared) error) (*Prepared, error) {
	st, err := readState(ctx, p.cfg)
	if err != nil || st.marks == p.state.marks {
		return p, err
	}
	p.cfg.Report(Event{Note: "somebody else has deployed meanwhile: comparing again"})
	anew, err := prepare(ctx, p.cfg, st)
	if err == nil && agreed != nil {
		err = agreed(anew)
	}
	return anew, err
}

// locked does everything; nobody else deploys meanwhile.
func (p *Prepared) locked(ctx context.Context) (results []Result, err error) {
	p.abandon(ctx)
	if p.Before != nil {
		note := "finishing deploy %s, which has sent its objects and not got through"
		if p.Before.Over {
			note = "looking again at what deploy %s has left, which was not seen fresh in all"
		}
		p.cfg.Report(Event{Stage: Finishing, Note: fmt.Sprintf(note, p.Before.ID)})
		verdicts, err := p.advance(ctx, p.Before)
		results = append(results, Result{Deploy: p.Before, Verdicts: verdicts, Ended: time.Now()})
		if err != nil {
			return results, err
		}
		if p.Deploy != nil {
			p.Deploy.Verified = p.Before.Verified
			if p.Deploy.Elsewhere {
				p.Deploy.Unproven = p.Before.Remaining(p.Steps)
			}
		}
	}
	if p.Deploy == nil {
		return results, nil
	}
	if len(p.Deploy.Changes) == 0 && p.Deploy.Release == "" {
		p.Deploy.Phase, p.Deploy.Over = deploy.Uploaded, true
		return results, p.save(ctx, p.Deploy)
	}
	if err := p.upload(ctx); err != nil {
		return results, err
	}
	sent := time.Now()
	verdicts, err := p.advance(ctx, p.Deploy)
	if err == nil && p.cfg.Atomic != nil {
		err = p.prune(ctx)
	}
	return append(results, Result{Deploy: p.Deploy, Verdicts: verdicts, Sent: sent, Ended: time.Now()}), err
}

// save writes down how far a deploy has come.
func (p *Prepared) save(ctx context.Context, d *deploy.Deploy) error {
	text, err := d.Encode()
	if err != nil {
		return err
	}
	version, err := p.cfg.Shelf.Put(ctx, DeployName, text, p.versionToReplace())
	if errors.Is(err, shelf.ErrChanged) {
		return fmt.Errorf("%w: another deploy runs at the same time; deploy again when it is through", err)
	}
	if err != nil {
		return err
	}
	p.state.version = version
	return nil
}

func (p *Prepared) versionToReplace() string {
	if p.cfg.NoLock {
		return shelf.Any
	}
	return p.state.version
}

// advance takes a deploy whose objects are there to its end.
func (p *Prepared) advance(ctx context.Context, d *deploy.Deploy) (verdicts []freshet.Verdict, err error) {
	if d.Elsewhere {
		return p.follow(ctx, d)
	}
	if d.Release != "" && d.Phase == deploy.Uploaded {
		if err := p.lead(ctx, d); err != nil {
			return nil, err
		}
	}
	if p.cfg.Line.Send == nil { // nobody invalidates
		return nil, p.over(ctx, d)
	}
	if d.Phase == deploy.Uploaded || d.Phase == deploy.Switched {
		if err := p.send(ctx, d); err != nil {
			return nil, err
		}
	}
	if d.Phase == deploy.Accepted {
		if p.cfg.Line.Wait == nil {
			return nil, p.over(ctx, d)
		}
		if err := p.wait(ctx, d); err != nil {
			return nil, err
		}
	}
	return p.verify(ctx, d)
}

func (p *Prepared) over(ctx context.Context, d *deploy.Deploy) error {
	d.Over = true
	return p.save(ctx, d)
}

// ErrUnseen is what Line.Follow returns where nobody looks: the deploy is over,
// and not verified.
var ErrUnseen = errors.New("nobody looks whether it is fresh")

// follow waits for whoever follows the bucket.
func (p *Prepared) follow(ctx context.Context, d *deploy.Deploy) ([]freshet.Verdict, error) {
	if p.cfg.Line.Follow == nil {
		return nil, p.over(ctx, d)
	}
	p.cfg.Report(Event{Stage: Verifying, Objects: len(d.Changes)})
	verdicts, err := p.cfg.Line.Follow(ctx, d)
	if errors.Is(err, ErrUnseen) {
		return nil, p.over(ctx, d)
	}
	if err != nil {
		return verdicts, err
	}
	return verdicts, p.judged(ctx, d, verdicts)
}

// send has the CDN accept every request of the plan, in order.
func (p *Prepared) send(ctx context.Context, d *deploy.Deploy) error {
	p.cfg.Report(Event{Stage: Invalidating, Objects: len(d.Plan.Invalidations)})
	d.Receipts = nil
	for _, inv := range d.Plan.Invalidations {
		receipt, err := p.cfg.Line.Send(ctx, inv)
		if err != nil {
			return fmt.Errorf("%w; the objects are sent: deploy again, and only what is left is done", err)
		}
		d.Receipts = append(d.Receipts, receipt)
		p.cfg.Report(Event{Stage: Invalidating, Done: &Done{}})
	}
	d.Phase = deploy.Accepted
	if len(d.Receipts) == 0 {
		return nil // nothing to remember
	}
	return p.save(ctx, d)
}

// wait returns when the CDN says that everything is done.
func (p *Prepared) wait(ctx context.Context, d *deploy.Deploy) error {
	p.cfg.Report(Event{Stage: Waiting, Objects: len(d.Receipts)})
	g, ctx2 := errgroup.WithContext(ctx)
	for i, r := range d.Receipts {
		g.Go(func() error {
			done, err := p.cfg.Line.Wait(ctx2, r)
			if err == nil {
				d.Receipts[i] = done
				p.cfg.Report(Event{Stage: Waiting, Done: &Done{}})
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	d.Phase = deploy.Completed
	return nil
}

// verify looks at the edge, and writes down the end.
func (p *Prepared) verify(ctx context.Context, d *deploy.Deploy) ([]freshet.Verdict, error) {
	if p.cfg.Line.Verify == nil {
		return nil, p.over(ctx, d)
	}
	p.cfg.Report(Event{Stage: Verifying})
	verdicts, err := p.cfg.Line.Verify(ctx, d)
	if err != nil {
		return verdicts, err
	}
	if again, err := p.repeat(ctx, d, verdicts); again || err != nil {
		if err != nil {
			return verdicts, err
		}
		return p.advance(ctx, d)
	}
	return verdicts, p.judged(ctx, d, verdicts)
}

// repeat plans what was seen stale once more, and writes that down before it is
// sent.
func (p *Prepared) repeat(ctx context.Context, d *deploy.Deploy, verdicts []freshet.Verdict) (again bool, err error) {
	if d.Repeated || p.cfg.Line.Repeat == nil {
		return false, nil
	}
	stale := make(map[string]bool)
	for _, v := range verdicts {
		if v.State == freshet.Stale {
			stale[v.Target.Key] = true
		}
	}
	var changes []freshet.Change
	for _, c := range d.Changes {
		if stale[c.Key] {
			changes = append(changes, c)
		}
	}
	if len(changes) == 0 {
		return false, nil
	}
	made, err := p.cfg.Line.Repeat(changes)
	if err != nil {
		return false, fmt.Errorf("plan once more: %w", err)
	}
	p.cfg.Report(Event{Note: fmt.Sprintf("%d objects were seen stale after completion: invalidating them once more", len(changes))})
	d.Plan, d.Repeated, d.Receipts, d.Phase = &made, true, nil, deploy.Uploaded
	if d.Release != "" {
		d.Phase = deploy.Switched
	}
	return true, p.save(ctx, d)
}

func (p *Prepared) judged(ctx context.Context, d *deploy.Deploy, verdicts []freshet.Verdict) error {
	looked := make(map[string]bool, len(verdicts))
	for _, v := range verdicts {
		looked[v.Target.Key] = true
	}
	d.Unproven = slices.DeleteFunc(d.Unproven, func(key string) bool { return looked[key] })
	for _, v := range verdicts {
		if v.State != freshet.Fresh {
			d.Unproven = append(d.Unproven, v.Target.Key)
		}
	}
	slices.Sort(d.Unproven)
	d.Unproven = slices.Compact(d.Unproven)
	if len(d.Unproven) == 0 {
		d.Phase = deploy.Verified
		d.Verified = &deploy.Mark{ID: d.ID, Commit: d.Commit, Time: time.Now().Unix()}
	}
	return p.over(ctx, d)
}
