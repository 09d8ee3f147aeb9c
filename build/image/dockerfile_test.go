package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// The Dockerfile has the files from build/image, and must say the rest as build/image does.
func TestDockerfileRunsTheSame(t *testing.T) {
	text, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	stages := map[string]v1.Config{}
	stage := ""
	for line := range strings.Lines(string(text)) {
		instruction, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		c := stages[stage]
		switch instruction {
		case "FROM":
			_, stage, _ = strings.Cut(rest, " AS ")
			c = v1.Config{}
		case "ENV":
			c.Env = append(c.Env, rest)
		case "USER":
			c.User = rest
		case "WORKDIR":
			c.WorkingDir = rest
		case "EXPOSE":
			c.ExposedPorts = map[string]struct{}{}
			for port := range strings.FieldsSeq(rest) {
				c.ExposedPorts[port] = struct{}{}
			}
		case "ENTRYPOINT":
			err = json.Unmarshal([]byte(rest), &c.Entrypoint)
		case "CMD":
			err = json.Unmarshal([]byte(rest), &c.Cmd)
		}
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		stages[stage] = c
	}
	server, operator := kinds()
	for _, k := range []struct {
		stage string
		want  v1.Config
	}{{"server", server.config}, {"operator", operator.config}} {
		if got, want := fmt.Sprintf("%+v", stages[k.stage]), fmt.Sprintf("%+v", k.want); got != want {
			t.Errorf("%s\nDockerfile:  %s\nbuild/image: %s", k.stage, got, want)
		}
	}
}
