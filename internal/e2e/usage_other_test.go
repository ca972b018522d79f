//go:build !linux

package e2e_test

import (
	"errors"
	"time"
)

func processorTime(int) (time.Duration, error) { return 0, errors.ErrUnsupported }

func forgetPeak(int) error { return errors.ErrUnsupported }

func peakMemory(int) (float64, error) { return 0, errors.ErrUnsupported }
