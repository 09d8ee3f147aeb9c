// Command licences writes which modules are in the server, and under which
// licence each is, for the web UI to show: ui/dist/modules.json, which the server
// embeds. What is in the server is what the go command says that it is built of.
//
// A module without a licence, or under one that this project does not take, is
// an error, so that it is noticed when it comes in.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "licences:", err)
		os.Exit(1)
	}
}

func run() error {
	mod, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return fmt.Errorf("go env GOMOD: %w", err)
	}
	root := filepath.Dir(strings.TrimSpace(string(mod)))
	modules, err := list(root, "./cmd/strongroom")
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(modules, "", "  ") // in the order of their names
	if err != nil {
		return err
	}
	path := filepath.Join(root, "ui", "dist", "modules.json")
	if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, text) {
		return nil
	}
	return os.WriteFile(path, text, 0o644)
}

// list is the licence of each module that the program is made of, without the main one.
func list(root, program string) (map[string]string, error) {
	cmd := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}\t{{with .Replace}}{{.Dir}}{{else}}{{.Dir}}{{end}}{{end}}{{end}}", program)
	cmd.Dir = root
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list -deps %s: %w", program, err)
	}
	modules := map[string]string{}
	for line := range strings.Lines(string(out)) {
		module, dir, found := strings.Cut(strings.TrimSpace(line), "\t")
		if !found || modules[module] != "" {
			continue
		}
		if modules[module], err = licence(dir); err != nil {
			return nil, fmt.Errorf("%s: %w", module, err)
		}
	}
	return modules, nil
}

var licenceFile = regexp.MustCompile(`(?i)^(licen[sc]e|copying)`)

// licence is the SPDX name of the licence whose text stands in dir.
func licence(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	for _, entry := range entries {
		if !licenceFile.MatchString(entry.Name()) || !entry.Type().IsRegular() {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			return "", err
		}
		if name := identify(string(text)); name != "" {
			return name, nil
		}
	}
	return "", fmt.Errorf("no licence that this project takes is in %s: see whether the module may be used", dir)
}

// identify is the SPDX name of the licence with that text; "" if it is none that this project takes.
func identify(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	has := func(part string) bool { return strings.Contains(text, part) }
	switch {
	case has("GNU GENERAL PUBLIC LICENSE Version"), has("GNU LESSER GENERAL PUBLIC LICENSE Version"), has("Business Source License"):
		return ""
	case has("Mozilla Public License") && (has("Version 2.0") || has("version 2.0")):
		return "MPL-2.0"
	case has("Apache License") && has("Version 2.0"):
		return "Apache-2.0"
	case has("Permission is hereby granted, free of charge, to any person obtaining a copy"):
		return "MIT"
	case has("Redistribution and use in source and binary forms"):
		if has("endorse or promote") {
			return "BSD-3-Clause"
		}
		return "BSD-2-Clause"
	case has("Permission to use, copy, modify, and/or distribute this software") || has("Permission to use, copy, modify, and distribute this software"):
		return "ISC"
	}
	return ""
}
