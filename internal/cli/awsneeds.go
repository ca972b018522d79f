package cli

import (
	"archive/zip"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/freshet/freshet/internal/awssetup"
	"github.com/freshet/freshet/internal/awssetup/account"
	"github.com/freshet/freshet/internal/barrier"
	"github.com/freshet/freshet/internal/lambda"
)

// needsOf are the permissions that a document of the function's configuration
// makes necessary.
func needsOf(document []byte) (n awssetup.Needs, err error) {
	cfg, err := lambda.ReadConfig(document, func(string) string { return "" })
	if err != nil {
		return n, err
	}
	n.Distributions, n.Table = cfg.Distributions, cfg.QuotaTable
	for _, r := range cfg.Reactions {
		if r.Distribution != "" {
			n.Reached = append(n.Reached, r.Distribution)
		}
		if r.Function != "" {
			n.Deployed = append(n.Deployed, withoutQualifier(r.Function))
		}
	}
	for _, c := range cfg.CodeCommit {
		n.Repositories = append(n.Repositories, c.Repository)
	}
	for _, text := range cfg.WaitFor {
		f, err := barrier.Parse(text)
		if err != nil {
			return n, err
		}
		object, inS3 := strings.CutPrefix(f.URL, "s3://")
		switch {
		case f.Kind == barrier.Lambda && f.Alias != "":
			n.Aliased = append(n.Aliased, f.Name)
		case f.Kind == barrier.Lambda:
			n.Functions = append(n.Functions, f.Name)
		case f.Kind == barrier.Distribution:
			n.Waited = append(n.Waited, f.Name)
		case inS3:
			n.Objects = append(n.Objects, object)
		}
	}
	return n, nil
}

// withoutQualifier takes an alias or version from a function's name or ARN.
func withoutQualifier(name string) string {
	before, rest, long := strings.Cut(name, "function:")
	if !long {
		before, rest = "", name
	} else {
		before += "function:"
	}
	rest, _, _ = strings.Cut(rest, ":")
	return before + rest
}

// documented reads the needs of a file.
func documented(file string) (awssetup.Needs, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return awssetup.Needs{}, fmt.Errorf("--document: %w", err)
	}
	n, err := needsOf(text)
	if err != nil {
		return n, fmt.Errorf("--document %s: %w", file, err)
	}
	return n, nil
}

// needs completes the site by what the document asks for that the function will
// read. Where that cannot be read, the role keeps what it may do.
func (c *awsInstallCmd) needs(ctx context.Context, t terminal, a *account.Account, code []byte, site awssetup.Site) (awssetup.Site, error) {
	if c.Document != "" {
		needs, err := documented(c.Document)
		site.Needs = needs
		return site, err
	}
	sdk, err := c.sdk(ctx)
	if err != nil {
		return site, err
	}
	text, elsewhere, cannot := lambda.Document(ctx, sdk, site.Config)
	if !elsewhere && code != nil {
		if text, err = inZip(code, site.Config); err != nil {
			return site, exitError{exitUsage, err}
		}
	}
	if cannot != nil || !elsewhere && code == nil {
		kept, err := a.KnownNeeds(ctx, site)
		if err == nil && cannot != nil {
			_, _ = fmt.Fprintf(t.err, "freshet: %v\nfreshet: the role gets no permissions for what stands there and is waited for; --document FILE says it\n", cannot)
		}
		site.Needs = kept.Needs
		return site, err
	}
	if site.Needs, err = needsOf(text); err != nil {
		return site, exitError{exitUsage, fmt.Errorf("%s: %w", cmp.Or(site.Config, lambda.DefaultDocument), err)}
	}
	return site, nil
}

// inZip is a file of the function's zip. Without a name it is the one that the
// function reads if it is there.
func inZip(code []byte, name string) ([]byte, error) {
	archive, err := zip.NewReader(bytes.NewReader(code), int64(len(code)))
	if err != nil {
		return nil, fmt.Errorf("--zip: %w", err)
	}
	file, err := archive.Open(cmp.Or(name, lambda.DefaultDocument))
	if name == "" && errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("--function-config: the zip has no %s: put the file beside bootstrap", name)
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("--zip: read %s: %w", name, err)
	}
	return text, nil
}
