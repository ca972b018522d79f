package bucket

import (
	"strings"
	"unicode/utf8"

	"github.com/versity/versitygw/s3err"
)

// MaxKeyLength is the longest object key, in bytes of UTF-8.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
const MaxKeyLength = 1024

// pieceLength is how much of an escaped key goes into one directory entry. File
// systems stop at 255 bytes; versitygw needs 28 of them for a temporary name
// around ours, and two are marks.
const pieceLength = 200

// continued ends the name of a directory that holds the rest of a long key and
// begins every name in it. It occurs in no escaped key, so a directory is never
// mistaken for an object.
const continued = '+'

// keyError says why S3 would not take key; nil if it would.
func keyError(key string) error {
	switch {
	case key == "":
		return refuse(400, "InvalidRequest", "the object key is empty")
	case len(key) > MaxKeyLength:
		return s3err.GetKeyTooLongErr(int64(len(key)), MaxKeyLength)
	case !utf8.ValidString(key):
		return refuse(400, "InvalidURI", "the object key is not valid UTF-8")
	case strings.IndexByte(key, 0) >= 0:
		return refuse(400, "InvalidURI", "the object key holds a NUL byte")
	}
	return nil
}

// fileName gives the path of the file that holds key, relative to the bucket's
// directory. Different keys have different paths that do not lie inside each
// other, on file systems that fold case or normalise Unicode as well.
func fileName(key string) string {
	flat := escape(key)
	if len(flat) <= pieceLength {
		return flat
	}
	var path strings.Builder
	path.WriteString(flat[:pieceLength])
	for rest := flat[pieceLength:]; rest != ""; {
		piece := rest[:min(pieceLength, len(rest))]
		rest = rest[len(piece):]
		path.WriteByte(continued)
		path.WriteByte('/')
		path.WriteByte(continued)
		path.WriteString(piece)
	}
	return path.String()
}

// keyOf undoes fileName. ok is false for a path that fileName never gives, such
// as versitygw's temporary files.
func keyOf(path string) (key string, ok bool) {
	flat := strings.ReplaceAll(path, "+/+", "")
	key, ok = unescape(flat)
	return key, ok && fileName(key) == path
}

// isContinued reports whether name is that of a directory with the rest of long
// keys.
func isContinued(name string) bool { return strings.HasSuffix(name, string(continued)) }

const lowerHex = "0123456789abcdef"

// escape writes key with the letters a file system cannot confuse: lower case,
// digits, - and _ and inner dots stand for themselves, =a for A, and %2f for
// any other byte.
func escape(key string) string {
	b := make([]byte, 0, len(key)+16)
	for i := 0; i < len(key); i++ {
		switch c := key[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_', c == '.' && i > 0:
			b = append(b, c)
		case 'A' <= c && c <= 'Z':
			b = append(b, '=', c+'a'-'A')
		default:
			b = append(b, '%', lowerHex[c>>4], lowerHex[c&15])
		}
	}
	return string(b)
}

func unescape(flat string) (string, bool) {
	b := make([]byte, 0, len(flat))
	for i := 0; i < len(flat); i++ {
		switch c := flat[i]; {
		case c == '=' && i+1 < len(flat):
			i++
			b = append(b, flat[i]-('a'-'A'))
		case c == '%' && i+2 < len(flat):
			hi, lo := strings.IndexByte(lowerHex, flat[i+1]), strings.IndexByte(lowerHex, flat[i+2])
			if hi < 0 || lo < 0 {
				return "", false
			}
			i += 2
			b = append(b, byte(hi<<4|lo))
		case c == '=' || c == '%':
			return "", false
		default:
			b = append(b, c)
		}
	}
	return string(b), true
}
