// Package bucket is an S3 store for one machine: one bucket, kept in a
// directory, behind an S3 API that checks signatures. versitygw speaks the
// protocol and keeps the bytes; this package keeps the keys apart, answers the
// listings and hands on every change before the client gets its answer.
//
// An object is one file, written aside and linked into place, so that it is
// there whole or not at all, whatever is killed when. Nothing is flushed to
// the disk by force: a power cut may take the newest objects along.
package bucket
