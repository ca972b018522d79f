//go:build !unix

package cli

import "context"

// hangups never asks: where there is no SIGHUP, files are read anew when they
// change.
func hangups(ctx context.Context) (ended context.Context, asked <-chan struct{}, stop func()) {
	return ctx, nil, func() {}
}
