package deploy

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// manifestFormat marks manifests.
const manifestFormat = "freshet-manifest/1"

// Record is what a deploy remembers of an object that it sent or found.
type Record struct {
	Key    string `json:"k"`
	Size   int64  `json:"n,omitempty"` // of what is stored
	Hash   Hash   `json:"h"`
	Form   string `json:"f,omitempty"`
	ETag   string `json:"e"`
	At     int64  `json:"t"` // seconds since 1970 by the bucket's clock, after it was stored: what was stored later is another's
	Served Served `json:"-"`
	S      int    `json:"s,omitempty"` // place of Served in the manifest's list
}

// Manifest is what the deploys of a site know of the objects there. It lies
// beside the site. What the bucket has said something else of since does not
// count.
type Manifest struct {
	Format  string   `json:"format"`
	Deploy  string   `json:"deploy"` // that wrote it
	Served  []Served `json:"served"`
	Records []Record `json:"records"` // sorted by key
}

// Index finds a manifest's records by key.
func (m *Manifest) Index() map[string]*Record {
	byKey := make(map[string]*Record, len(m.Records))
	for i := range m.Records {
		byKey[m.Records[i].Key] = &m.Records[i]
	}
	return byKey
}

// Know adds to a listing what the manifest, which may be nil, and a deploy that
// did not get through, likewise, know of the objects.
func Know(have []Present, m *Manifest, unfinished *Deploy) {
	var known map[string]*Record
	if m != nil {
		known = m.Index()
	}
	for i := range have {
		p := &have[i]
		if r := known[p.Key]; r != nil && r.ETag == p.ETag && p.Modified <= r.At+lag {
			p.Hash, p.Form, p.Served = r.Hash, r.Form, &r.Served
		}
	}
	if unfinished != nil && unfinished.Phase == Begun && (m == nil || m.Deploy != unfinished.ID) {
		unfinished.recognize(have, known)
	}
}

// recognize puts what the steps of a deploy that died have made in the place of
// what the manifest says. Where nothing tells whether it was the deploy or
// somebody else, or whether it was before or after, nothing is known: nor of what
// it found to be another than the manifest has, by a deploy that died before it
// within the lag.
func (d *Deploy) recognize(have []Present, known map[string]*Record) {
	steps := make(map[string]*Step, len(d.Steps))
	for i := range d.Steps {
		steps[d.Steps[i].Object.Key] = &d.Steps[i]
	}
	for i := range have {
		p := &have[i]
		s := steps[p.Key]
		if s == nil {
			continue
		}
		if r := known[p.Key]; p.Modified < d.Begun && (r == nil || p.Modified <= r.At) {
			continue
		}
		p.Hash, p.Form, p.Served = Hash{}, "", nil
		if p.Modified >= d.Begun && s.Op != Delete && p.before() != s.Before && s.Object.ETag != "" && p.ETag == s.Object.ETag {
			p.Hash, p.Form, p.Served = s.Object.Hash, s.Object.Form, &s.Object.Served
		}
	}
}

// lag is by how many seconds the clock of a store's answers may be behind that of
// its objects: servers look at it once a second.
const lag = 1

// Encode writes a document as gzipped JSON.
func Encode(v any) ([]byte, error) {
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		return nil, fmt.Errorf("write the deploy's state: %w", err)
	}
	if err := errors.Join(json.NewEncoder(z).Encode(v), z.Close()); err != nil {
		return nil, fmt.Errorf("write the deploy's state: %w", err)
	}
	return out.Bytes(), nil
}

// maxDocument is the most that a document may hold, in bytes.
const maxDocument = 4 << 30

func decode(text []byte, format string, into any) error {
	z, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("it is no gzip: %w", err)
	}
	raw, err := io.ReadAll(io.LimitReader(z, maxDocument))
	if err != nil {
		return err
	}
	var head struct{ Format string }
	if err := json.Unmarshal(raw, &head); err != nil {
		return err
	}
	if head.Format != format {
		return fmt.Errorf("its format is %q, and this freshet reads %q", head.Format, format)
	}
	return json.Unmarshal(raw, into)
}

// Encode writes the manifest; its records need be in no order.
func (m *Manifest) Encode() ([]byte, error) {
	m.Format, m.Served = manifestFormat, nil
	slices.SortFunc(m.Records, func(a, b Record) int { return strings.Compare(a.Key, b.Key) })
	places := make(map[string]int)
	for i := range m.Records {
		r := &m.Records[i]
		name, err := json.Marshal(r.Served)
		if err != nil {
			return nil, fmt.Errorf("write the manifest: %w", err)
		}
		place, known := places[string(name)]
		if !known {
			place = len(m.Served)
			places[string(name)] = place
			m.Served = append(m.Served, r.Served)
		}
		r.S = place
	}
	return Encode(m)
}

// DecodeManifest reads what Encode wrote.
func DecodeManifest(text []byte) (*Manifest, error) {
	m := new(Manifest)
	if err := decode(text, manifestFormat, m); err != nil {
		return nil, fmt.Errorf("read the manifest: %w", err)
	}
	for i := range m.Records {
		r := &m.Records[i]
		if r.S < 0 || r.S >= len(m.Served) {
			return nil, fmt.Errorf("read the manifest: %q is served as nobody knows", r.Key)
		}
		r.Served = m.Served[r.S]
	}
	return m, nil
}

// Sent is what the bucket said of an object that was stored.
type Sent struct {
	ETag string
	Size int64
	At   time.Time // by the bucket's clock
}

// After returns the manifest of the site once steps were taken: of the records
// that the listing bears out those remain that no step is about.
func After(deploy string, have []Present, steps []Step, sent map[string]Sent) *Manifest {
	m := &Manifest{Deploy: deploy}
	touched := make(map[string]bool, len(steps))
	for _, s := range steps {
		touched[s.Object.Key] = true
		if at, ok := sent[s.Object.Key]; ok && s.Op != Delete {
			m.Records = append(m.Records, Record{
				Key: s.Object.Key, Size: at.Size, Hash: s.Object.Hash, Form: s.Object.Form, ETag: at.ETag, At: at.At.Unix(), Served: s.Object.Served,
			})
		}
	}
	for _, p := range have {
		if touched[p.Key] || p.Served == nil || p.Hash == (Hash{}) {
			continue
		}
		m.Records = append(m.Records, Record{Key: p.Key, Size: p.Size, Hash: p.Hash, Form: p.Form, ETag: p.ETag, At: p.Modified, Served: *p.Served})
	}
	return m
}
