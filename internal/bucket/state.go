package bucket

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/freshet/freshet"
	"github.com/versity/versitygw/backend/meta"
)

// Where versitygw keeps what belongs to an object, as extended attributes of
// its file.
const (
	etagAttribute  = "etag"
	partsAttribute = "mp-metadata"
	tagsAttribute  = "X-Amz-Tagging" // as JSON
	metaAttribute  = "metadata"      // all x-amz-meta- headers, as JSON with sorted names
)

// servedAttributes are the headers that the origin sends along with an object,
// in the order in which they are hashed.
var servedAttributes = [...]string{
	"content-type", "cache-control", "content-encoding", "content-disposition",
	"content-language", "expires", "website-redirect-location", metaAttribute,
}

// path is where the object lies.
func (s *store) path(key string) string { return filepath.Join(s.dir, fileName(key)) }

// read looks an object up in its file. exists is false when there is no such
// file, or one that no S3 request has put there.
func (s *store) read(key string) (o Object, exists bool, err error) {
	f, err := os.Open(s.path(key))
	if errors.Is(err, fs.ErrNotExist) {
		return Object{}, false, nil
	}
	if err != nil {
		return Object{}, false, fmt.Errorf("open object: %w", err)
	}
	defer f.Close()
	return s.readOpen(f, key)
}

// readNow is read, and what the object has of the headers that may hold cache
// tags.
func (s *store) readNow(key string) (o Object, tags string, exists bool, err error) {
	f, err := os.Open(s.path(key))
	if errors.Is(err, fs.ErrNotExist) {
		return Object{}, "", false, nil
	}
	if err != nil {
		return Object{}, "", false, fmt.Errorf("open object: %w", err)
	}
	defer f.Close()
	if o, exists, err = s.readOpen(f, key); err == nil && exists && s.tagHeaders != nil {
		tags, err = s.tagLines(f, s.tagHeaders())
	}
	return o, tags, exists, err
}

// userMetadata begins the names of headers that an object brings along itself.
const userMetadata = "x-amz-meta-"

// tagLines is what goes out with the object in f in some headers.
func (s *store) tagLines(f *os.File, headers []string) (lines string, err error) {
	if len(headers) == 0 {
		return "", nil
	}
	text, err := s.meta.RetrieveAttribute(f, "", "", metaAttribute)
	if errors.Is(err, meta.ErrNoSuchKey) || len(text) == 0 && err == nil {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the object's metadata: %w", err)
	}
	var metadata map[string]string
	if err := json.Unmarshal(text, &metadata); err != nil {
		return "", fmt.Errorf("read the object's metadata: %w", err)
	}
	headers = slices.Sorted(slices.Values(headers))
	for _, header := range slices.Compact(headers) {
		wanted, own := strings.CutPrefix(strings.ToLower(header), userMetadata)
		for name, value := range metadata {
			if own && strings.EqualFold(name, wanted) && value != "" {
				lines += freshet.TagLine(header, value)
			}
		}
	}
	return lines, nil
}

func (s *store) readOpen(f *os.File, key string) (o Object, exists bool, err error) {
	stat, err := f.Stat()
	if err != nil {
		return Object{}, false, fmt.Errorf("stat object: %w", err)
	}
	etag, err := s.meta.RetrieveAttribute(f, "", "", etagAttribute)
	if !stat.Mode().IsRegular() || errors.Is(err, meta.ErrNoSuchKey) {
		return Object{}, false, nil
	}
	if err != nil {
		return Object{}, false, fmt.Errorf("read the object's ETag: %w", err)
	}
	served, err := s.served(f)
	return Object{
		Key: key, ETag: strings.Trim(string(etag), `"`), Served: served,
		Size: stat.Size(), Time: stat.ModTime().UTC(),
	}, err == nil, err
}

// served is the fingerprint of the headers that go out with the object in f: 32
// hex digits, the same wherever and whenever it is taken.
func (s *store) served(f *os.File) (string, error) {
	h := sha256.New()
	for i, name := range servedAttributes {
		value, err := s.meta.RetrieveAttribute(f, "", "", name)
		if errors.Is(err, meta.ErrNoSuchKey) || len(value) == 0 && err == nil {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("read the object's %s: %w", name, err)
		}
		h.Write(binary.BigEndian.AppendUint64([]byte{byte(i)}, uint64(len(value))))
		h.Write(value)
	}
	return hex.EncodeToString(h.Sum(nil)[:16]), nil
}

// attributes is versitygw's storage of metadata in extended attributes, with
// one weakness mended.
type attributes struct{ meta.XattrMeta }

// StoreAttribute does without the table of part sizes where it does not fit:
// ext4 gives all attributes of a file 4 KB, and an object of some thousand
// parts would be refused for a table that only GET ?partNumber= reads.
func (a attributes) StoreAttribute(f *os.File, bucket, object, attribute string, value []byte) error {
	err := a.XattrMeta.StoreAttribute(f, bucket, object, attribute, value)
	if attribute == partsAttribute && err != nil {
		return nil
	}
	return err
}

// errNoAttributes is what Open fails with on a file system without extended
// attributes.
var errNoAttributes = errors.New("the file system has no extended attributes (user.*), which hold the objects' headers: use a directory on ext4, xfs, btrfs, zfs, APFS, or tmpfs since Linux 6.6")

// probe finds out whether dir can hold objects.
func probe(dir string) error {
	f, err := os.CreateTemp(dir, ".probe-")
	if err != nil {
		return fmt.Errorf("write to the store: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	defer f.Close()
	err = meta.XattrMeta{}.StoreAttribute(f, "", "", "probe", []byte("1"))
	if errors.Is(err, syscall.ENOTSUP) {
		return fmt.Errorf("use %s as a store: %w", dir, errNoAttributes)
	}
	if err != nil {
		return fmt.Errorf("store an extended attribute in %s: %w", dir, err)
	}
	return nil
}
