package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path"
	"strings"

	"github.com/freshet/freshet/internal/inventory"
	"github.com/freshet/freshet/internal/inventory/accesslog"
	"github.com/freshet/freshet/internal/inventory/listing"
	"github.com/freshet/freshet/internal/server"
)

// Stock names where it stands what the origins hold, and how often it is asked
// for.
type Stock struct {
	Listings []string // files that list objects, or directories of them; none: what the data directory knows
	Logs     []string // CloudFront's standard logs, or directories of them
	Bucket   string   // of objects whose bucket a listing does not name
	Data     string   // data directory; empty: not asked
}

// Know takes in what is live at each distribution. Notes are about what was left
// out. Without listings, logs and a data directory nothing is known, which is no
// error.
func (p *Planner) Know(ctx context.Context, s Stock) (notes []string, err error) {
	b := &stocking{planner: p, builders: make(map[string]*inventory.Builder)}
	if err := b.readLogs(s.Logs); err != nil {
		return nil, err
	}
	if len(s.Listings) == 0 {
		err = b.askData(ctx, s.Data)
	}
	for _, name := range s.Listings {
		if err = b.readListing(name, s.Bucket); err != nil {
			break
		}
	}
	if err != nil {
		return b.notes, err
	}
	b.finish()
	return b.notes, nil
}

// stocking is an inventory that is being made.
type stocking struct {
	planner  *Planner
	builders map[string]*inventory.Builder
	weights  map[string]map[string]*logged // by distribution and URL; nil without logs
	hosts    map[string]string             // in access logs, to the distribution that answers; empty where none does
	listed   bool                          // some objects are known otherwise than from logs
	notes    []string
}

// logged is how often a URL is asked for.
type logged struct {
	accesslog.Weight
	listed bool // as an object's own URL, perhaps by more than one listing
}

func (b *stocking) builder(distribution string) *inventory.Builder {
	made := b.builders[distribution]
	if made == nil {
		made = &inventory.Builder{Weighted: true}
		b.builders[distribution] = made
	}
	return made
}

// add puts an object under its own URL at each distribution that caches it, and
// returns at how many. One of which nobody knows how often it is asked for is
// expected to be fetched again once.
func (b *stocking) add(o listing.Object) int {
	if !o.Counted {
		o.Requests = 1
	}
	b.listed = true
	all := b.planner.Router.Own(o.Bucket, o.Key)
	for _, own := range all {
		e := inventory.Entry{URL: own.URL, Size: o.Size, Requests: o.Requests, Tags: o.Tags}
		if at := b.weights[own.Distribution]; at != nil {
			e.Requests = 0
			if w := at[own.URL]; w != nil {
				e.Requests, w.listed = refills(w.Weight), true
			}
		}
		b.builder(own.Distribution).Add(e)
	}
	return len(all)
}

// finish adds what is asked for under other URLs than the objects' own, and
// builds.
func (b *stocking) finish() {
	for id, urls := range b.weights {
		for url, w := range urls {
			if w.listed {
				continue
			}
			b.builder(id).Add(inventory.Entry{URL: url, Size: w.Bytes / max(w.Requests, 1), Requests: refills(w.Weight)})
		}
	}
	if len(b.builders) == 0 {
		return
	}
	b.planner.logsOnly = !b.listed
	b.planner.Inventories = make(map[string]*inventory.Inventory, len(b.builders))
	for id, made := range b.builders {
		b.planner.Inventories[id] = made.Inventory()
	}
}

// refills is how often a URL will be fetched again once it is cold: by each edge
// location that was asked for it.
func refills(w accesslog.Weight) int64 { return max(int64(w.Locations), min(w.Requests, 1)) }

func (b *stocking) askData(ctx context.Context, data string) error {
	if data == "" {
		return nil
	}
	if _, err := os.Stat(data); errors.Is(err, fs.ErrNotExist) {
		return nil // nothing ever ran here
	}
	return Objects(ctx, data, func(o server.Object) error {
		b.add(listing.Object{Bucket: o.Origin, Key: o.Key, Size: o.Size})
		return nil
	})
}

func (b *stocking) readListing(name, bucket string) error {
	info, err := os.Stat(name)
	if err != nil {
		return fmt.Errorf("read the inventory: %w", err)
	}
	if info.IsDir() {
		return b.addAll(name, bucket, listing.Dir(name))
	}
	if path.Base(name) == "manifest.json" {
		return b.readManifest(name, bucket)
	}
	return b.readFile(name, listing.Options{Bucket: bucket})
}

// readManifest reads the files that an S3 Inventory's manifest names. They are
// looked for beside it and where S3 puts them.
func (b *stocking) readManifest(name, bucket string) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("read the inventory: %w", err)
	}
	m, err := listing.ReadManifest(f)
	_ = f.Close()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	o := listing.Options{Format: listing.Inventory, Bucket: cmp.Or(m.Bucket, bucket), Columns: m.Columns}
	for _, part := range m.Files {
		file := path.Join(path.Dir(name), path.Base(part.Key))
		for _, place := range []string{"data", "../data", "../../data"} {
			if _, err := os.Stat(file); err != nil {
				file = path.Join(path.Dir(name), place, path.Base(part.Key))
			}
		}
		if err := b.readFile(file, o); err != nil {
			return err
		}
	}
	return nil
}

func (b *stocking) readFile(name string, o listing.Options) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("read the inventory: %w", err)
	}
	defer func() { _ = f.Close() }()
	l := listing.Read(f, o)
	if err := b.addAll(name, o.Bucket, l.Objects()); err != nil {
		return err
	}
	if s := l.Skipped(); s.Versions+s.DeleteMarkers > 0 {
		b.notes = append(b.notes, fmt.Sprintf("%s: %d older versions and %d delete markers left out", name, s.Versions, s.DeleteMarkers))
	}
	return nil
}

// addAll adds what a listing yields. A record that cannot be read is noted.
func (b *stocking) addAll(name, bucket string, objects iter.Seq2[listing.Object, error]) error {
	bad, listed, live := 0, 0, 0
	for o, err := range objects {
		var record *listing.RecordError
		switch {
		case errors.As(err, &record):
			if bad++; bad == 1 {
				b.notes = append(b.notes, name+": "+err.Error())
			}
		case err != nil:
			return fmt.Errorf("%s: %w", name, err)
		default:
			if o.Bucket == "" {
				o.Bucket = bucket
			}
			listed++
			live += b.add(o)
		}
	}
	if listed > 0 && live == 0 {
		b.notes = append(b.notes, fmt.Sprintf("%s: of its %d objects no distribution here caches one: is their bucket %s, and do keys begin with the origin path?", name, listed, bucket))
	}
	if bad > 1 {
		b.notes = append(b.notes, fmt.Sprintf("%s: %d records could not be read", name, bad))
	}
	return nil
}

// readLogs sums up how often each URL is asked for, by distribution.
func (b *stocking) readLogs(logs []string) error {
	if len(logs) == 0 {
		return nil
	}
	weights := accesslog.Weights{Under: b.countedAs}
	for _, name := range logs {
		if err := eachFile(name, func(f *os.File) error { return weights.AddLog(f.Name(), accesslog.Read(f)) }); err != nil {
			return err
		}
	}
	if t := weights.Tally(); t.Bad > 0 {
		b.notes = append(b.notes, fmt.Sprintf("%d lines of the access logs could not be read; the first: %v", t.Bad, t.FirstBad))
	}
	if t := weights.Tally().Forgotten; t.Requests > 0 {
		b.notes = append(b.notes, fmt.Sprintf("%d requests of rarely used URLs were left out of the access logs' sums", t.Requests))
	}
	b.weights = make(map[string]map[string]*logged)
	strangers := int64(0)
	for w := range weights.All() {
		if w.Host == "" {
			strangers += w.Requests
			continue
		}
		if b.weights[w.Host] == nil {
			b.weights[w.Host] = make(map[string]*logged)
		}
		b.weights[w.Host][w.URL] = &logged{Weight: w}
	}
	if strangers > 0 {
		b.notes = append(b.notes, fmt.Sprintf("%d requests in the access logs are for hosts of no distribution here", strangers))
	}
	return nil
}

// countedAs says for which URL of which distribution a hit counts: that of a
// distribution that is not here is the empty one.
func (b *stocking) countedAs(h accesslog.Hit) (distribution, url string) {
	id := b.distributionOf(h.Domain)
	if id == "" {
		id = b.distributionOf(h.Host)
	}
	return id, h.Path
}

// distributionOf finds the distribution that answers a host, and nothing where
// none does. The only one answers all.
func (b *stocking) distributionOf(host string) string {
	if len(b.planner.Distributions) == 1 {
		return b.planner.Distributions[0].ID
	}
	if host == "" {
		return ""
	}
	id, known := b.hosts[host]
	if !known {
		if answering := b.planner.Router.Answering(host); len(answering) > 0 {
			id = answering[0]
		}
		if b.hosts == nil {
			b.hosts = make(map[string]string)
		}
		if len(b.hosts) < mostHosts {
			b.hosts[strings.Clone(host)] = id
		}
	}
	return id
}

// mostHosts bounds how many hosts of access logs are remembered, since viewers
// can send any.
const mostHosts = 10_000

// eachFile calls do for the file of that name, or for each file in the directory
// of that name.
func eachFile(name string, do func(*os.File) error) error {
	entries, err := os.ReadDir(name)
	if err != nil {
		entries = nil
	}
	names := []string{name}
	if err == nil {
		names = nil
		for _, e := range entries {
			if e.Type().IsRegular() {
				names = append(names, path.Join(name, e.Name()))
			}
		}
	}
	for _, n := range names {
		f, err := os.Open(n)
		if err != nil {
			return fmt.Errorf("read the access log: %w", err)
		}
		err = do(f)
		_ = f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}
