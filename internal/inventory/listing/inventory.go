package listing

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
)

// Manifest is what manifest.json says of an S3 Inventory.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory-location.html
type Manifest struct {
	Bucket  string          // that was listed
	Columns []string        // of each file, for Options
	Files   []InventoryFile // which together are the listing
}

// InventoryFile is one file of an inventory, an object of the destination bucket.
type InventoryFile struct {
	Key  string `json:"key"`
	Size int64  `json:"size"`
	MD5  string `json:"MD5checksum"` // hexadecimal
}

// ReadManifest reads manifest.json. An inventory in another format than CSV is
// an error.
func ReadManifest(r io.Reader) (Manifest, error) {
	var m struct {
		SourceBucket string          `json:"sourceBucket"`
		FileFormat   string          `json:"fileFormat"`
		FileSchema   string          `json:"fileSchema"`
		Files        []InventoryFile `json:"files"`
	}
	const most = 16 << 20
	text, err := io.ReadAll(io.LimitReader(r, most+1))
	if err != nil {
		return Manifest{}, fmt.Errorf("read manifest of the inventory: %w", err)
	}
	if len(text) > most {
		return Manifest{}, fmt.Errorf("read manifest of the inventory: it is longer than %d bytes", most)
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return Manifest{}, fmt.Errorf("read manifest of the inventory: %w", err)
	}
	if m.FileFormat != "CSV" {
		return Manifest{}, fmt.Errorf("read manifest of the inventory: its files are in %q, only CSV is read", m.FileFormat)
	}
	columns := strings.Split(m.FileSchema, ",")
	for i := range columns {
		columns[i] = strings.TrimSpace(columns[i])
	}
	if _, err := layoutOf(columns); err != nil {
		return Manifest{}, fmt.Errorf("read manifest of the inventory: fileSchema %q: %w", m.FileSchema, err)
	}
	return Manifest{Bucket: m.SourceBucket, Columns: columns, Files: m.Files}, nil
}

// inventoryParser reads the CSV files of S3 Inventory: quoted fields without a
// header, keys form-encoded (a space is a +), columns as the manifest says.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory.html
type inventoryParser struct {
	columns []string
	skipped *Skipped
	layout  *layout
	fields  [][]byte // of the line at hand
}

// layout is where the columns are that matter; -1 where there is none.
type layout struct {
	columns                                 int // how many there are
	bucket, key, size, latest, deleteMarker int
}

// schema are the columns an inventory may have.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory.html#storage-inventory-contents
func schema() []string {
	return []string{
		"Bucket", "Key", "VersionId", "IsLatest", "IsDeleteMarker", "Size", "LastModifiedDate", "ETag", "StorageClass",
		"IsMultipartUploaded", "ReplicationStatus", "EncryptionStatus", "ObjectLockRetainUntilDate", "ObjectLockMode",
		"ObjectLockLegalHoldStatus", "IntelligentTieringAccessTier", "BucketKeyStatus", "ChecksumAlgorithm",
		"ObjectAccessControlList", "ObjectOwner", "LifecycleExpirationDate",
	}
}

func layoutOf(columns []string) (*layout, error) {
	find := func(name string) int {
		return slices.IndexFunc(columns, func(c string) bool { return strings.EqualFold(c, name) })
	}
	l := &layout{
		columns: len(columns), bucket: find("Bucket"), key: find("Key"), size: find("Size"),
		latest: find("IsLatest"), deleteMarker: find("IsDeleteMarker"),
	}
	if l.key < 0 {
		return nil, errors.New("it has no column Key")
	}
	return l, nil
}

func (p *inventoryParser) end() error { return nil }

func (p *inventoryParser) parse(line []byte) (Object, bool, error) {
	if len(bytes.TrimSpace(line)) == 0 {
		return Object{}, false, nil
	}
	var err error
	if p.fields, err = splitCSV(p.fields[:0], line); err != nil {
		return Object{}, true, err
	}
	if p.layout == nil {
		isHeader, err := p.begin()
		if err != nil || isHeader {
			return Object{}, false, err
		}
	}
	if len(p.fields) != p.layout.columns {
		return Object{}, true, fmt.Errorf("the line has %d fields instead of %d", len(p.fields), p.layout.columns)
	}
	return p.object()
}

// begin finds the layout at the first line, and whether that is a header, which
// S3 does not write but those do who export the inventory from a table.
func (p *inventoryParser) begin() (isHeader bool, err error) {
	columns := p.columns
	if first := text(p.fields); known(first) {
		columns, isHeader = first, true
	} else if len(columns) == 0 {
		columns, err = guess(first)
	}
	if err == nil {
		p.layout, err = layoutOf(columns)
	}
	if err != nil {
		return false, fatal{err}
	}
	return isHeader, nil
}

func text(fields [][]byte) []string {
	all := make([]string, len(fields))
	for i, f := range fields {
		all[i] = string(f)
	}
	return all
}

func known(fields []string) bool {
	if len(fields) < 2 {
		return false
	}
	for _, f := range fields {
		if !slices.ContainsFunc(schema(), func(c string) bool { return strings.EqualFold(c, f) }) {
			return false
		}
	}
	return true
}

// guess accepts the two layouts whose beginning can be told from the fields
// themselves: Bucket, Key, Size, … and Bucket, Key, VersionId, IsLatest,
// IsDeleteMarker, Size, …. What follows the size does not matter.
func guess(fields []string) ([]string, error) {
	isNumber := func(i int) bool {
		return i < len(fields) && fields[i] != "" && strings.Trim(fields[i], "0123456789") == ""
	}
	isBool := func(i int) bool {
		return i < len(fields) && (fields[i] == "true" || fields[i] == "false")
	}
	versions := isBool(3) && isBool(4) && (isNumber(5) || len(fields) > 5 && fields[5] == "" && fields[4] == "true")
	plain := isNumber(2)
	n := 0
	switch {
	case versions && !plain:
		n = 6
	case plain && !versions && !isBool(3):
		return append([]string{"Bucket", "Key", "Size"}, make([]string, len(fields)-3)...), nil
	case len(fields) == 2:
		n = 2
	default:
		return nil, fmt.Errorf("the columns of this S3 Inventory cannot be told from its first line, which has %d: name its manifest.json", len(fields))
	}
	return append(schema()[:n], make([]string, len(fields)-n)...), nil
}

func (p *inventoryParser) field(i int) []byte {
	if i < 0 {
		return nil
	}
	return p.fields[i]
}

func (p *inventoryParser) object() (Object, bool, error) {
	l := p.layout
	gone, err := parseBool(p.field(l.deleteMarker), false)
	if err != nil {
		return Object{}, true, fmt.Errorf("IsDeleteMarker: %w", err)
	}
	latest, err := parseBool(p.field(l.latest), true)
	switch {
	case err != nil:
		return Object{}, true, fmt.Errorf("IsLatest: %w", err)
	case gone:
		p.skipped.DeleteMarkers++
		return Object{}, false, nil
	case !latest:
		p.skipped.Versions++
		return Object{}, false, nil
	}
	key, err := url.QueryUnescape(string(p.field(l.key)))
	if err != nil {
		return Object{}, true, fmt.Errorf("decode key %q: %w", clip(p.field(l.key)), err)
	}
	o := Object{Bucket: string(p.field(l.bucket)), Key: key}
	if size := p.field(l.size); len(size) > 0 {
		o.Size, err = parseSize(size)
	}
	return o, true, err
}

func parseBool(field []byte, missing bool) (bool, error) {
	switch string(field) {
	case "":
		return missing, nil
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither true nor false", clip(field))
}

// splitCSV cuts one line at its commas. A field in quotes may hold commas, and
// quotes that are doubled; since keys are encoded, none holds a line end.
func splitCSV(fields [][]byte, line []byte) ([][]byte, error) {
	for {
		var field []byte
		if rest, quoted := bytes.CutPrefix(line, []byte(`"`)); quoted {
			var err error
			if field, line, err = cutQuoted(rest); err != nil {
				return fields, err
			}
		} else if comma := bytes.IndexByte(line, ','); comma >= 0 {
			field, line = line[:comma], line[comma:]
		} else {
			field, line = line, nil
		}
		if fields = append(fields, field); len(line) == 0 {
			return fields, nil
		}
		if line[0] != ',' {
			return fields, fmt.Errorf("no comma follows a quoted field, but %q", clip(line))
		}
		line = line[1:]
	}
}

// cutQuoted returns what stands before the closing quote and what after it.
func cutQuoted(s []byte) (field, rest []byte, err error) {
	end := bytes.IndexByte(s, '"')
	if end >= 0 && (end+1 == len(s) || s[end+1] != '"') {
		return s[:end], s[end+1:], nil // the usual case: nothing to undo, nothing to copy
	}
	for i := 0; i < len(s); i++ {
		if s[i] != '"' {
			field = append(field, s[i])
			continue
		}
		if i+1 == len(s) || s[i+1] != '"' {
			return field, s[i+1:], nil
		}
		field = append(field, '"')
		i++
	}
	return nil, nil, errors.New("a quoted field does not end on its line")
}
