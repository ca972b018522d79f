package e2e_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/freshet/freshet/internal/app"
	"github.com/freshet/freshet/internal/deploy"
	"github.com/freshet/freshet/internal/server"
)

// folder is a site on disk that changes at random.
type folder struct {
	dir     string
	files   map[string]string
	random  *rand.Rand
	version int
}

func newFolder(t testing.TB, random *rand.Rand, files int) *folder {
	s := &folder{dir: t.TempDir(), files: make(map[string]string), random: random}
	for i := range files {
		s.write(t, fmt.Sprintf("d%d/file %03d.%s", i%7, i, []string{"html", "css", "js"}[i%3]))
	}
	return s
}

func (s *folder) write(t testing.TB, name string) {
	t.Helper()
	s.version++
	s.files[name] = fmt.Sprintf("version %d of %s", s.version, name)
	file := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(s.files[name]), 0o600); err != nil {
		t.Fatal(err)
	}
}

// change writes some files, adds some and removes some.
func (s *folder) change(t testing.TB) {
	t.Helper()
	names := make([]string, 0, len(s.files))
	for name := range s.files {
		names = append(names, name)
	}
	slices.Sort(names)
	s.random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	for _, name := range names[:1+s.random.IntN(12)] {
		s.write(t, name)
	}
	for range s.random.IntN(3) {
		s.version++
		s.write(t, fmt.Sprintf("new/%d.html", s.version))
	}
	for _, name := range names[len(names)-s.random.IntN(3):] {
		delete(s.files, name)
		if err := os.Remove(filepath.Join(s.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// silence has the pipeline gather changes and do nothing, so that a deploy may
// invalidate by itself.
func (f *running) silence(t testing.TB) {
	t.Helper()
	client, err := app.Client(f.data)
	if err == nil {
		_, err = client.Hold(t.Context(), server.Hold{Name: "test", Seconds: 3600})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// deploying is the command line of a deploy of the folder into f's bucket.
func (f *running) deploying(dir string, args ...string) *exec.Cmd {
	return exec.Command(program, slices.Concat([]string{"--data", f.data, "deploy", dir, "s3://" + f.Bucket, "--max-delete", "100%", "--timeout", "3m"}, args)...)
}

// deployed deploys to the end.
func (f *running) deployed(t testing.TB, dir string, args ...string) string {
	t.Helper()
	out, err := f.deploying(dir, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("deploy: %v\n%s", err, out)
	}
	return string(out)
}

// visit fetches every file through the edge, so that each is cached, and wants
// what the folder holds.
func (s *folder) visit(t testing.TB, v *viewer, gone []string) {
	t.Helper()
	for name, text := range s.files {
		got, err := v.get("/" + strings.ReplaceAll(name, " ", "%20"))
		if err != nil {
			t.Fatal(err)
		}
		if got.status != http.StatusOK || string(got.body) != text {
			t.Errorf("%s: %d %q (X-Cache %s), want %q", name, got.status, got.body, got.header.Get("X-Cache"), text)
		}
	}
	for _, name := range gone {
		if got, err := v.get("/" + strings.ReplaceAll(name, " ", "%20")); err != nil || got.status == http.StatusOK {
			t.Errorf("%s is gone, and the edge answers %d %q, %v", name, got.status, got.body, err)
		}
	}
}

// lastDeploy reads what the last deploy left beside the site.
func (f *running) lastDeploy(t testing.TB) *deploy.Deploy {
	t.Helper()
	text, ok := f.stored(t, f.s3(t), ".freshet/deploy.json.gz")
	if !ok {
		t.Fatal("there is no state")
	}
	d, err := deploy.DecodeDeploy(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// references are the caller references of all invalidations, by ID.
func (f *running) references(t testing.TB) map[string]string {
	t.Helper()
	cf := f.cloudfront(t)
	all := make(map[string]string)
	pages := cloudfront.NewListInvalidationsPaginator(cf, &cloudfront.ListInvalidationsInput{DistributionId: &f.Distribution})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range page.InvalidationList.Items {
			out, err := cf.GetInvalidation(t.Context(), &cloudfront.GetInvalidationInput{DistributionId: &f.Distribution, Id: i.Id})
			if err != nil {
				t.Fatal(err)
			}
			all[*i.Id] = *out.Invalidation.InvalidationBatch.CallerReference
		}
	}
	return all
}

// holdsFolder wants the bucket to hold the folder and nothing else.
func (f *running) holdsFolder(t testing.TB, s *folder) {
	t.Helper()
	c := f.s3(t)
	seen := 0
	pages := s3.NewListObjectsV2Paginator(c, &s3.ListObjectsV2Input{Bucket: &f.Bucket})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Contents {
			if strings.HasPrefix(*o.Key, ".freshet/") {
				continue
			}
			seen++
			if text, ok := s.files[*o.Key]; !ok || int64(len(text)) != *o.Size {
				t.Errorf("the bucket holds %s with %d bytes", *o.Key, *o.Size)
			}
		}
	}
	if seen != len(s.files) {
		t.Errorf("the bucket holds %d objects, the folder %d", seen, len(s.files))
	}
}

// A deploy is killed at random moments, sometimes twice, and run again: sometimes
// of the same site and sometimes of another. Nothing is missing and nothing
// doubled, as the bucket's listing, the API's invalidations and the edge show.
func TestPromiseDeployKilled(t *testing.T) {
	for name, args := range map[string][]string{"by itself": {"--invalidate", "self"}, "by the pipeline": nil} {
		t.Run(name, func(t *testing.T) { deployKilled(t, args) })
	}
}

func deployKilled(t *testing.T, args []string) {
	rounds := 10 // in each of two ways
	if long() {
		rounds = 200
	} else if testing.Short() {
		rounds = 5
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	f := start(t, options{})
	if args != nil {
		f.silence(t)
	}
	s := newFolder(t, random, 60)
	begun := time.Now()
	f.deployed(t, s.dir, args...)
	longest := time.Since(begun)
	v := f.viewer(t)
	s.visit(t, v, nil)
	known := f.references(t)
	killed, taken := 0, 0
	for range rounds {
		before := make(map[string]string, len(s.files))
		for name, text := range s.files {
			before[name] = text
		}
		s.change(t)
		headers := append(slices.Clone(args), "--cache-control", fmt.Sprintf("*7.html=max-age=%d", 1000+random.IntN(2)))
		for range 1 + random.IntN(2) {
			c := f.deploying(s.dir, headers...)
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			dying := time.AfterFunc(time.Duration(random.Int64N(int64(longest))), func() { _ = c.Process.Kill() })
			if c.Wait() != nil {
				killed++
			}
			dying.Stop()
			if random.IntN(3) == 0 {
				s.change(t)
			}
		}
		begun = time.Now()
		out := f.deployed(t, s.dir, headers...)
		longest = min(longest, max(time.Since(begun), 20*time.Millisecond))
		if strings.Contains(out, "going on with") || strings.Contains(out, "finish") {
			taken++
		}
		var gone []string
		for name := range before {
			if _, still := s.files[name]; !still {
				gone = append(gone, name)
			}
		}
		f.holdsFolder(t, s)
		s.visit(t, v, gone)
		if t.Failed() {
			t.Fatal(out)
		}
	}
	byReference := make(map[string]string)
	for id, reference := range f.references(t) {
		if other := byReference[reference]; other != "" {
			t.Errorf("reference %s belongs to %s and %s", reference, other, id)
		}
		byReference[reference] = id
	}
	t.Logf("killed %d times, taken up %d times, %d invalidations", killed, taken, len(byReference)-len(known))
	if d := f.lastDeploy(t); !d.Over || d.Phase != deploy.Verified {
		t.Errorf("the last deploy is %s", d.Phase)
	}
}

// What is sent for a deploy that was killed while it did so are the requests of
// its plan, each once.
func TestDeployKilledSendsItsPlan(t *testing.T) {
	f := start(t, options{})
	f.silence(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	s := newFolder(t, random, 40)
	f.deployed(t, s.dir, "--invalidate", "self")
	for range 4 {
		known := f.references(t)
		s.change(t)
		dry, err := f.deploying(s.dir, "--invalidate", "self", "--dry-run", "--json").Output()
		if err != nil {
			t.Fatal(err)
		}
		c := f.deploying(s.dir, "--invalidate", "self")
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		dying := time.AfterFunc(time.Duration(random.IntN(120))*time.Millisecond, func() { _ = c.Process.Kill() })
		_ = c.Wait()
		dying.Stop()
		f.deployed(t, s.dir, "--invalidate", "self")
		var planned struct{ Deploy deploy.Deploy }
		if err := json.Unmarshal(dry, &planned); err != nil {
			t.Fatal(err)
		}
		var want, got []string
		for _, inv := range planned.Deploy.Plan.Invalidations {
			want = append(want, inv.CallerReference)
		}
		for id, reference := range f.references(t) {
			if known[id] == "" {
				got = append(got, reference)
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("the dry run planned %q, and sent was %q", want, got)
		}
	}
}

// What is uploaded is what a real client reads back, headers included.
func TestDeployAsTheAWSCLISeesIt(t *testing.T) {
	path := awsCLI(t)
	f := start(t, options{})
	dir := t.TempDir()
	page := strings.Repeat("<p>words words words</p>\n", 200)
	for name, text := range map[string]string{"index.html": page, "a b~é.css": "body{}", "raw.bin": "\x00\x01", "rules.yaml": `
rules:
  - match: "*.html"
    cache_control: "max-age=60, stale-while-revalidate=30"
    language: en
    encode: gzip
    tags: [home, all]
  - match: "*.css"
    precompress: [br, gzip]
    metadata: {owner: us}
    disposition: inline
redirects:
  - from: old.html
    to: /index.html
`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rules := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.Rename(filepath.Join(dir, "rules.yaml"), rules); err != nil {
		t.Fatal(err)
	}
	f.deployed(t, dir, "--rules", rules)
	s := shell{running: f, path: path}
	head := func(key string) (h struct {
		ContentType, CacheControl, ContentEncoding, ContentLanguage, ContentDisposition, WebsiteRedirectLocation string
		ContentLength                                                                                            int
		Metadata                                                                                                 map[string]string
	}) {
		t.Helper()
		if err := json.Unmarshal([]byte(s.aws(t, f.S3, "s3api", "head-object", "--bucket", f.Bucket, "--key", key)), &h); err != nil {
			t.Fatal(err)
		}
		return h
	}
	if h := head("index.html"); h.ContentType != "text/html; charset=utf-8" || h.CacheControl != "max-age=60, stale-while-revalidate=30" || h.ContentEncoding != "gzip" || h.ContentLanguage != "en" || h.Metadata["cache-tag"] != "home,all" {
		t.Errorf("index.html: %+v", h)
	}
	text, _ := f.stored(t, f.s3(t), "index.html")
	z, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(z); err != nil || string(got) != page {
		t.Errorf("index.html holds %d bytes of something else, %v", len(got), err)
	}
	if h := head("a b~é.css"); h.ContentType != "text/css; charset=utf-8" || h.ContentEncoding != "" || h.Metadata["owner"] != "us" || h.ContentDisposition != "inline" {
		t.Errorf("css: %+v", h)
	}
	for _, encoding := range []string{"br", "gzip"} {
		if h := head("a b~é.css" + deploy.Suffix(encoding)); h.ContentType != "text/css; charset=utf-8" || h.ContentEncoding != encoding {
			t.Errorf("css, %s: %+v", encoding, h)
		}
	}
	if h := head("raw.bin"); h.ContentType != "application/octet-stream" || h.ContentLength != 2 {
		t.Errorf("raw.bin: %+v", h)
	}
	if h := head("old.html"); h.WebsiteRedirectLocation != "/index.html" {
		t.Errorf("old.html: %+v", h)
	}
	if out := f.deployed(t, dir, "--rules", rules); !strings.Contains(out, "nothing has changed") {
		t.Errorf("again: %s", out)
	}
	// The same without the manifest: what there is is asked for, and found the same,
	// but for what is encoded, which is made again.
	c := f.s3(t)
	for _, name := range []string{".freshet/manifest.json.gz", ".freshet/deploy.json.gz"} {
		if _, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &f.Bucket, Key: &name}); err != nil {
			t.Fatal(err)
		}
	}
	if out := f.deployed(t, dir, "--rules", rules); !strings.Contains(out, "3 changed, 3 unchanged") {
		t.Errorf("without a manifest: %s", out)
	}
}

// Several deploy at once. Without patience one is told who deploys; with it all
// get through, one after the other, and the bucket holds one of the sites, whole.
func TestDeploysAtOnce(t *testing.T) {
	f := start(t, options{})
	random := rand.New(rand.NewPCG(1, 2))
	var sites []*folder
	for range 3 {
		s := newFolder(t, random, 80)
		for range 3 {
			s.change(t)
		}
		sites = append(sites, s)
	}
	f.deployed(t, sites[0].dir)
	for round, args := range [][]string{nil, {"--lock-wait", "3m"}} {
		outs := make([]string, len(sites))
		errs := make([]error, len(sites))
		var all sync.WaitGroup
		for i, s := range sites {
			s.change(t)
			all.Go(func() {
				out, err := f.deploying(s.dir, args...).CombinedOutput()
				outs[i], errs[i] = string(out), err
			})
		}
		all.Wait()
		through := 0
		for i, err := range errs {
			switch {
			case err == nil:
				through++
			case round == 0 && strings.Contains(outs[i], "another deploy is running: "):
			default:
				t.Errorf("round %d: %v\n%s", round, err, outs[i])
			}
		}
		if through == 0 || round == 1 && through != len(sites) {
			t.Errorf("round %d: %d got through:\n%s", round, through, strings.Join(outs, "\n"))
		}
		if !slices.ContainsFunc(sites, func(s *folder) bool { return f.holdsExactly(t, s) }) {
			t.Errorf("round %d: the bucket holds none of the sites", round)
		}
	}
}

// holdsExactly reports whether the bucket holds the folder, by content.
func (f *running) holdsExactly(t testing.TB, s *folder) bool {
	t.Helper()
	out, err := f.deploying(s.dir, "--dry-run").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(out), "nothing to send")
}

// A site of many files: all of it, nothing, and a few.
func TestDeployOfTwentyThousandFiles(t *testing.T) {
	if !long() {
		t.Skip("a minute; with FRESHET_SOAK=1")
	}
	f := start(t, options{})
	dir := filepath.Join(t.TempDir(), "site")
	fillSite(t, dir, 20_000, 100, 1000)
	for _, want := range []string{"20000 new, 0 unchanged", "nothing has changed", "200 changed, 19800 unchanged"} {
		out, err := f.deploying(dir, "--timeout", "10m").CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Fatalf("%v: %q is not in\n%s", err, want, out)
		}
		if want == "nothing has changed" {
			touch(t, dir, 20_000)
		}
	}
}
