package config

import (
	"fmt"

	"github.com/freshet/freshet/internal/barrier"
)

// Facts reads the entries of WaitFor.
func Facts(texts []string) ([]barrier.Fact, error) {
	var facts []barrier.Fact
	for i, text := range texts {
		f, err := barrier.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("wait_for[%d]: %w", i, err)
		}
		facts = append(facts, f)
	}
	return facts, nil
}
