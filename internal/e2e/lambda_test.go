package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudfront"

	// So that no result of a test counts after the function was changed.
	_ "github.com/freshet/freshet/internal/lambda"
)

const pathByPath = "plan: {max_wildcards: 0}\n"

// chaosOfLambda hits every operation: half of all calls fail, of the others every
// fourth is throttled, every sixth invalidation is one too many, and every third
// answer is lost.
const chaosOfLambda = "unavailable=50%,throttle=4,busy=6,lose=3,complete=200ms,seed="

// invalidated lists what the API was made to invalidate, with the caller
// reference of each, after ending the chaos.
func (f *running) invalidated(t *testing.T) (paths []string, references []string) {
	t.Helper()
	f.control(t, http.MethodDelete, "")
	c := f.cloudfront(t)
	pages := cloudfront.NewListInvalidationsPaginator(c, &cloudfront.ListInvalidationsInput{DistributionId: &f.Distribution})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, summary := range page.InvalidationList.Items {
			got, err := c.GetInvalidation(t.Context(), &cloudfront.GetInvalidationInput{DistributionId: &f.Distribution, Id: summary.Id})
			if err != nil {
				t.Fatal(err)
			}
			references = append(references, *got.Invalidation.InvalidationBatch.CallerReference)
			paths = append(paths, got.Invalidation.InvalidationBatch.Paths.Items...)
		}
	}
	slices.Sort(paths)
	slices.Sort(references)
	return paths, references
}

// wantInvalidatedOnce wants the paths of all keys, each once, by requests of
// which none was made under another name again.
func (f *running) wantInvalidatedOnce(t *testing.T, keys []string) {
	t.Helper()
	paths, references := f.invalidated(t)
	want := make([]string, len(keys))
	for i, key := range keys {
		want[i] = "/" + key
	}
	slices.Sort(want)
	if !slices.Equal(paths, want) {
		once := slices.Compact(slices.Clone(paths))
		t.Errorf("%d paths were invalidated, %d different ones, want %d", len(paths), len(once), len(want))
	}
	if once := slices.Compact(slices.Clone(references)); len(once) != len(references) {
		t.Errorf("a caller reference has two invalidations: %q", references)
	}
	t.Logf("%d paths in %d invalidations", len(paths), len(references))
}

// seed is another one with FRESHET_SOAK.
func seed() string {
	if long() {
		return fmt.Sprint(time.Now().UnixNano())
	}
	return "5"
}

func (f *running) letters(n int) (letters []letter, keys []string) {
	for i := range n {
		keys = append(keys, fmt.Sprintf("p/%04d.html", i))
		letters = append(letters, f.letter(i, keys[i]))
	}
	return letters, keys
}

// The function as Lambda runs it, in front of an API of whose calls half fail,
// at first with too little time: SQS delivers until all was taken, in whatever
// company, and each path is invalidated once.
func TestPromiseLambdaLosesAndDoublesNothing(t *testing.T) {
	f := start(t, options{args: []string{"--quota", "both", "--chaos", chaosOfLambda + seed()}})
	rt := newLambdaRuntime(t)
	fn := startLambda(t, f, rt, pathByPath, buildBootstrap(t))
	queue, keys := f.letters(450)
	random := rand.New(rand.NewPCG(1, 2))
	timeout, rounds := 2*time.Second, 0 // the quota lets three requests take longer
	for ; len(queue) > 0; rounds++ {
		if rounds == 10 {
			t.Fatalf("%d messages are left\n%s", len(queue), tail(fn.out.String(), 4000))
		}
		random.Shuffle(len(queue), func(i, j int) { queue[i], queue[j] = queue[j], queue[i] })
		queue = rt.deliver(t, queue, timeout)
		t.Logf("delivery %d: %d come again", rounds+1, len(queue))
		timeout = time.Minute // what the set-up asks for
	}
	shown := f.control(t, http.MethodGet, "")
	if c := shown.Counts; rounds < 2 || c["unavailable"] == 0 || c["throttle"] == 0 || c["lose"] == 0 {
		t.Errorf("%d deliveries, and the chaos did nothing: %+v", rounds, shown)
	}
	f.wantInvalidatedOnce(t, keys)
	t.Logf("%d deliveries, chaos %v", rounds, shown.Counts)
}

// The function is killed when it has sent a part. All messages are delivered
// again, to another instance, in another order: the part is not sent again.
func TestPromiseKilledLambdaDoublesNothing(t *testing.T) {
	for tries := 1; !lambdaKilled(t); tries++ {
		if tries == 5 {
			t.Fatal("it is always done before it is killed")
		}
	}
}

// lambdaKilled is false if the function was done too early.
func lambdaKilled(t *testing.T) bool {
	f := start(t, options{args: []string{"--quota", "both", "--chaos", chaosOfLambda + seed()}})
	rt, bootstrap := newLambdaRuntime(t), buildBootstrap(t)
	letters, keys := f.letters(400)
	first := startLambda(t, f, rt, pathByPath, bootstrap)
	rt.send(t, batchOf(letters), patience)
	first.await(t, `"msg":"accepted"`, 2)
	first.kill()
	select {
	case a := <-rt.answers:
		t.Logf("it was done before it was killed: %s", a.body)
		return false
	default:
	}
	slices.Reverse(letters)
	second := startLambda(t, f, rt, pathByPath, bootstrap)
	if again := rt.deliver(t, letters, 2*patience); len(again) > 0 {
		t.Errorf("%d messages come again\n%s", len(again), tail(second.out.String(), 4000))
	}
	second.await(t, `"msg":"invalidated before"`, 1)
	f.wantInvalidatedOnce(t, keys)
	return true
}

// What the function cannot read or begin with is told to Lambda in its own way.
func TestLambdaErrors(t *testing.T) {
	f := start(t, options{})
	rt, bootstrap := newLambdaRuntime(t), buildBootstrap(t)
	fn := startLambda(t, f, rt, "", bootstrap)
	if a := rt.invoke(t, `{"hello":1}`, patience); a.kind != "error" || !strings.Contains(a.body, "its shape is unknown: it has hello") {
		t.Errorf("got %+v", a)
	}
	if a := rt.invoke(t, `{"freshet":{"distribution":"`+f.Distribution+`","invalidate":["/a"],"wait":true}}`, patience); a.kind != "response" || !strings.Contains(a.body, `"state":"completed"`) {
		t.Errorf("got %+v", a)
	}
	if again := rt.deliver(t, []letter{f.letter(1, "b"), {id: "bad", body: "?"}}, patience); len(again) != 1 || again[0].id != "bad" {
		t.Errorf("got %+v\n%s", again, fn.out.String())
	}
	fn.await(t, `"CloudWatchMetrics"`, 3)
	if n := strings.Count(fn.out.String(), `"CloudWatchMetrics"`); n != 3 {
		t.Errorf("%d lines of metrics:\n%s", n, fn.out.String())
	}
	if paths, _ := f.invalidated(t); !slices.Equal(paths, []string{"/a", "/b"}) {
		t.Errorf("invalidated %q", paths)
	}
	fn.kill()

	fn = startLambda(t, f, rt, "quota: none", bootstrap)
	select {
	case a := <-rt.answers:
		if a.kind != "init" || !strings.Contains(a.body, "none of rate, window, both") {
			t.Errorf("got %+v", a)
		}
	case <-time.After(patience):
		t.Fatal("it does not say why it cannot begin")
	}
	<-fn.exited
	if fn.err == nil {
		t.Error("it ended as if all were well")
	}
}
