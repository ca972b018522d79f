// Package lines reads what people hand over as text: lines of any file, plain
// or compressed with gzip, within a limit.
package lines

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
)

// Max is the longest line that is read, in bytes.
const Max = 1 << 20

// PeekSize is how many bytes the result of Open lets its caller peek at.
const PeekSize = 64 << 10

// ErrTooLong is the error for a line longer than Max. The next line can be read.
var ErrTooLong = fmt.Errorf("the line is longer than %d bytes", Max)

// Open returns the text in r. What begins with gzip's magic number is
// decompressed, all members one after the other, and a byte order mark is left
// out. Files that are known not to be text in UTF-8 are refused with what to do
// instead. An r without a byte is an empty text.
func Open(r io.Reader) (*bufio.Reader, error) {
	in := bufio.NewReaderSize(bareEnd{r}, PeekSize)
	head, err := peek(in, 2)
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(head, []byte{0x1F, 0x8B}) {
		unzipped, err := gzip.NewReader(in)
		if err != nil {
			return nil, fmt.Errorf("read gzip: %w", err)
		}
		in = bufio.NewReaderSize(unzipped, PeekSize)
	}
	if head, err = peek(in, 5); err != nil {
		return nil, err
	}
	if err := refuse(head); err != nil {
		return nil, err
	}
	if bytes.HasPrefix(head, []byte("\ufeff")) {
		_, err = in.Discard(3)
	}
	return in, err
}

// bareEnd keeps an error that wraps io.EOF, such as that of a connection which
// was lost, from being taken for the end of the text.
type bareEnd struct{ in io.Reader }

func (r bareEnd) Read(p []byte) (int, error) {
	n, err := r.in.Read(p)
	if err != nil && err != io.EOF && errors.Is(err, io.EOF) { //nolint:errorlint // bare and wrapped are told apart
		err = fmt.Errorf("%w: %s", io.ErrUnexpectedEOF, err.Error())
	}
	return n, err
}

func peek(in *bufio.Reader, n int) ([]byte, error) {
	head, err := in.Peek(n)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return head, err
}

// refuse knows the files that people have and that are none of ours.
func refuse(head []byte) error {
	binary := len(head) == 5 && (head[4] < '\t' || head[4] > '~' || head[4] == 0x15)
	switch {
	case bytes.HasPrefix(head, []byte{0xFF, 0xFE}), bytes.HasPrefix(head, []byte{0xFE, 0xFF}):
		return errors.New("the text is in UTF-16, as PowerShell's > writes it: save it as UTF-8")
	case bytes.HasPrefix(head, []byte("PAR1")) && binary:
		return errors.New("the file is in Parquet, which is not read: let it be written as text (CSV, W3C or JSON)")
	case bytes.HasPrefix(head, []byte("ORC")) && binary:
		return errors.New("the file is in ORC, which is not read: let it be written as CSV")
	case bytes.HasPrefix(head, []byte("PK\x03\x04")), bytes.HasPrefix(head, []byte{0x28, 0xB5, 0x2F, 0xFD}):
		return errors.New("the file is compressed in a way that is not read: decompress it, or use gzip")
	}
	return nil
}

// Reader reads one line after the other.
type Reader struct {
	in     *bufio.Reader
	number int64
	long   []byte // of a line that is longer than the buffer of in
}

// NewReader reads the lines of in.
func NewReader(in *bufio.Reader) *Reader { return &Reader{in: in} }

// Next returns the next line without its line end, which may be LF or CR LF,
// and valid until the next call; a last line may lack its end. The error is
// io.EOF when there are no more lines, ErrTooLong for a line that is left out,
// and that of the underlying reader otherwise.
func (r *Reader) Next() ([]byte, error) {
	line, err := r.in.ReadSlice('\n')
	if len(line) > 0 {
		r.number++
	}
	if errors.Is(err, bufio.ErrBufferFull) {
		line, err = r.rest(line)
	}
	if errors.Is(err, io.EOF) && len(line) > 0 {
		err = nil
	}
	if err != nil {
		return nil, err
	}
	line = bytes.TrimSuffix(line, []byte("\n"))
	return bytes.TrimSuffix(line, []byte("\r")), nil
}

// rest reads a long line to its end, and keeps no more of it than allowed.
func (r *Reader) rest(part []byte) ([]byte, error) {
	r.long = append(r.long[:0], part...)
	tooLong := false
	err := bufio.ErrBufferFull
	for errors.Is(err, bufio.ErrBufferFull) {
		part, err = r.in.ReadSlice('\n')
		if tooLong = tooLong || len(r.long)+len(part) > Max+2; !tooLong {
			r.long = append(r.long, part...)
		}
	}
	if tooLong && (err == nil || errors.Is(err, io.EOF)) {
		return nil, ErrTooLong
	}
	return r.long, err
}

// Number is that of the line returned last, counted from 1.
func (r *Reader) Number() int64 { return r.number }
