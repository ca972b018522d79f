package journal

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// logBytes is how much a log keeps on disk, the oldest going first: some half a
// million invalidations of a path each, which are read again at every start.
const logBytes = 256 << 20

// Log is a durable sequence of entries under a name of its own. Its methods may
// be called concurrently.
type Log struct {
	js      jetstream.JetStream
	stream  jetstream.Stream
	subject string
}

// OpenLog creates the log called name, in capital letters, or finds it again.
// It keeps entries as long as the journal keeps records, but not more than
// logBytes of them.
func OpenLog(ctx context.Context, js jetstream.JetStream, name string) (*Log, error) {
	subject := "freshet.log." + name
	s, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name:      name,
		Subjects:  []string{subject},
		Retention: jetstream.LimitsPolicy,
		Storage:   jetstream.FileStorage,
		MaxAge:    KeepFor,
		MaxBytes:  logBytes,
	})
	if err != nil {
		return nil, fmt.Errorf("open the log %s: %w", name, err)
	}
	return &Log{js: js, stream: s, subject: subject}, nil
}

// Append stores an entry and returns when it is synced to disk.
func (l *Log) Append(ctx context.Context, entry []byte) error {
	if _, err := l.js.Publish(ctx, l.subject, entry); err != nil {
		return fmt.Errorf("write the log %s: %w", l.stream.CachedInfo().Config.Name, err)
	}
	return nil
}

// Replay calls each for every entry that was there when it began, oldest first,
// and returns the first error of each.
func (l *Log) Replay(ctx context.Context, each func([]byte) error) error {
	_, err := scan(ctx, l.stream, 0, each)
	return err
}
