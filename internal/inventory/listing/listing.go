// Package listing reads which objects a site has, from whatever people have at
// hand: what `aws s3api list-objects-v2` and `aws s3 ls` print, the files of S3
// Inventory, lists of keys, a local directory. It streams: ten million objects
// take no more memory than one.
package listing

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"unicode/utf8"

	"github.com/freshet/freshet/internal/inventory/lines"
)

// MaxKeyLength is the longest object key S3 allows, in bytes.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
const MaxKeyLength = 1024

// Object is what a listing says of one object. A key that ends in / is listed
// like any other, since S3 serves it.
type Object struct {
	Bucket   string   // empty where neither the listing nor Options name it
	Key      string   // decoded
	Size     int64    // bytes; 0 also where the listing does not say
	Tags     []string // cache tags, without a #, as the cache has them: of before the change
	Requests int64    // 0 also where the listing does not say
	Counted  bool     // the listing does say how often the object is asked for
}

// Options say what a listing does not say itself. The zero value is enough for
// most.
type Options struct {
	Format  Format   // Auto finds out
	Bucket  string   // of objects whose bucket the listing does not name
	Columns []string // of an S3 Inventory in CSV, as Manifest has them
}

// Skipped counts the records of objects that cannot be asked for by their key
// alone; they are left out on purpose.
type Skipped struct {
	Versions      int64 // that are not the latest
	DeleteMarkers int64
}

// RecordError says why one record is no object. The records after it are read.
type RecordError struct {
	At  string // such as "line 7"
	Err error
}

func (e *RecordError) Error() string { return e.At + ": " + e.Err.Error() }

func (e *RecordError) Unwrap() error { return e.Err }

// Listing is one listing, which can be read once.
type Listing struct {
	in      io.Reader
	options Options
	format  Format
	skipped Skipped
}

// Read returns the listing in r, which may be compressed with gzip. Nothing is
// read before Objects is called for.
func Read(r io.Reader, o Options) *Listing {
	return &Listing{in: r, options: o, format: o.Format}
}

// Format is the options' or, once the first object was asked for, that which
// was found out.
func (l *Listing) Format() Format { return l.format }

// Skipped counts what was left out so far.
func (l *Listing) Skipped() Skipped { return l.skipped }

// Objects yields the objects in the order of the listing, and once only. A
// *RecordError stands for a record that is left out, and what follows it can be
// had by going on. Any other error is the last that is yielded, and means that
// the listing is damaged, incomplete or none, so that what it held before is not
// what the bucket holds. An empty listing yields nothing.
func (l *Listing) Objects() iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		err := l.read(func(o Object, err error) bool {
			if err == nil && o.Bucket == "" {
				o.Bucket = l.options.Bucket
			}
			return yield(o, err)
		})
		if err != nil && !errors.Is(err, errEnough) {
			yield(Object{}, fmt.Errorf("read listing: %w", err))
		}
	}
}

// errEnough ends a reading whose caller wants no more.
var errEnough = errors.New("enough")

// emit passes on an object or a *RecordError; false is the wish for no more.
type emit func(Object, error) bool

func (l *Listing) read(out emit) error {
	in, err := lines.Open(l.in)
	if err != nil {
		return err
	}
	if l.format == Auto {
		if l.format, err = detect(in, len(l.options.Columns) > 0); err != nil {
			return err
		}
	}
	switch l.format {
	case S3JSON:
		return l.readJSON(in, out)
	case S3LS:
		return readLines(in, &lsParser{}, out)
	case Inventory:
		return readLines(in, &inventoryParser{columns: l.options.Columns, skipped: &l.skipped}, out)
	case JSONLines:
		return readLines(in, jsonLines{}, out)
	case SizedKeys:
		return readLines(in, sizedKeys{}, out)
	case Keys:
		return readLines(in, bareKeys{}, out)
	}
	return fmt.Errorf("there is no format %q: use one of %s", l.format, strings.Join(formatNames(), ", "))
}

// lineParser is a format of one record in each line.
type lineParser interface {
	// parse returns the object of a line, or false for a line without one. A
	// fatal error ends the reading, any other concerns the line alone.
	parse(line []byte) (Object, bool, error)
	// end is called after the last line.
	end() error
}

// fatal is an error that leaves no sense in reading on.
type fatal struct{ error }

func (f fatal) Unwrap() error { return f.error }

func readLines(in *bufio.Reader, p lineParser, out emit) error {
	r := lines.NewReader(in)
	for {
		line, err := r.Next()
		if errors.Is(err, io.EOF) {
			return p.end()
		}
		if err != nil && !errors.Is(err, lines.ErrTooLong) {
			return fmt.Errorf("after line %d: %w", r.Number(), err)
		}
		var o Object
		found := true
		if err == nil {
			o, found, err = p.parse(line)
		}
		if err == nil && found {
			err = check(o)
		}
		if err != nil {
			if end, ok := errors.AsType[fatal](err); ok {
				return fmt.Errorf("line %d: %w", r.Number(), end.error)
			}
			o, found, err = Object{}, true, &RecordError{At: fmt.Sprintf("line %d", r.Number()), Err: err}
		}
		if found && !out(o, err) {
			return errEnough
		}
	}
}

// check holds an object to the rules of S3 and of counting.
func check(o Object) error {
	switch {
	case o.Key == "":
		return errors.New("no object key stands there")
	case len(o.Key) > MaxKeyLength:
		return fmt.Errorf("key %q has %d bytes, at most %d are allowed", clip(o.Key), len(o.Key), MaxKeyLength)
	case !utf8.ValidString(o.Key):
		return fmt.Errorf("key %q is not UTF-8", clip(o.Key))
	case o.Size < 0:
		return fmt.Errorf("key %q has the size %d", clip(o.Key), o.Size)
	case o.Requests < 0:
		return fmt.Errorf("key %q has %d requests", clip(o.Key), o.Requests)
	}
	return nil
}

// clip keeps an error readable when the input is not.
func clip[T string | []byte](s T) string {
	const most = 80
	if len(s) <= most {
		return string(s)
	}
	return string(s[:most]) + "…"
}
