package cli

import (
	"errors"
	"fmt"

	"github.com/freshet/freshet/internal/config"
	"github.com/freshet/freshet/internal/work/worker"
)

type configCmd struct {
	Check configCheckCmd `cmd:"" help:"Check a configuration file."`
	Show  configShowCmd  `cmd:"" help:"Print the configuration that holds, defaults included."`
}

type configCheckCmd struct {
	File string `arg:"" optional:"" type:"path" help:"The file (default: freshet.yaml, or what --config names)."`
	JSON bool   `name:"json" help:"Print the result as JSON."`
}

// Run reports what is wrong with a file.
func (c *configCheckCmd) Run(t terminal, r *root) error {
	path := config.File
	for _, named := range []string{r.Config, c.File} {
		if named != "" {
			path = named
		}
	}
	cfg, err := config.Load(path, true)
	if err == nil && len(cfg.Distributions) > 0 {
		_, err = planner(t, cfg)
	}
	if err == nil {
		_, err = cfg.Alarm.Secret()
	}
	if err == nil {
		err = findPrograms(cfg)
	}
	if c.JSON {
		result := struct {
			File  string `json:"file"`
			OK    bool   `json:"ok"`
			Error string `json:"error,omitempty"`
		}{File: path, OK: err == nil}
		if err != nil {
			result.Error = err.Error()
		}
		if printing := printJSON(t.out, result); printing != nil {
			return printing
		}
		if err != nil {
			return exitError{code: exitFailed}
		}
		return nil
	}
	if err == nil {
		_, err = fmt.Fprintf(t.out, "%s is right\n", path)
	}
	return err
}

// findPrograms says which programs of work are missing, and where they were
// looked for.
func findPrograms(cfg config.Config) error {
	var missing []error
	for _, r := range cfg.WorkRules() {
		if _, err := worker.Find(r); err != nil {
			missing = append(missing, fmt.Errorf("work: %s: %w", r.ID(), err))
		}
	}
	return errors.Join(missing...)
}

type configShowCmd struct {
	JSON bool `name:"json" help:"Print JSON instead of YAML."`
}

// Run prints the configuration.
func (c *configShowCmd) Run(t terminal, r *root) error {
	cfg, err := r.load()
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(t.out, cfg)
	}
	text, err := cfg.YAML()
	if err != nil {
		return err
	}
	_, err = t.out.Write(text)
	return err
}
