package e2e_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// block is a fenced block of a Markdown text.
type block struct {
	part    string // the heading of level 2 it stands under
	section string // the nearest heading above it
	lang    string
	text    string // without the fence's own indentation
	line    int    // of the fence, from 1
	prose   string // what stands between the block before and this one, without headings
	output  *block // the block of language text that follows it at once, or nil
}

// first is the first line that is no comment.
func (b *block) first() string {
	for line := range strings.Lines(b.text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			return line
		}
	}
	return ""
}

// shell tells whether the block is for typing.
func (b *block) shell() bool {
	return b.lang == "bash" || b.lang == "sh" || b.lang == "shell" || b.lang == "console"
}

var (
	heading = regexp.MustCompile(`^(#+) (.+)$`)
	fence   = regexp.MustCompile("^( *)```(.*)$")
)

// parse returns the fenced blocks of a Markdown text, in order.
func parse(markdown string) ([]*block, error) {
	var blocks []*block
	var open *block
	var indent string
	var part, section string
	var prose strings.Builder
	number := 0
	for line := range strings.Lines(markdown) {
		number++
		line = strings.TrimSuffix(line, "\n")
		if open != nil {
			if strings.TrimSpace(line) == "```" {
				blocks, open = append(blocks, open), nil
				continue
			}
			open.text += strings.TrimPrefix(line, indent) + "\n"
			continue
		}
		if m := fence.FindStringSubmatch(line); m != nil {
			indent = m[1]
			open = &block{part: part, section: section, lang: m[2], line: number, prose: prose.String()}
			prose.Reset()
			continue
		}
		if m := heading.FindStringSubmatch(line); m != nil {
			section = m[2]
			if len(m[1]) <= 2 {
				part = m[2]
			}
			continue
		}
		prose.WriteString(line + "\n")
	}
	if open != nil {
		return nil, fmt.Errorf("the block that begins in line %d does not end", open.line)
	}
	for i, b := range blocks {
		if b.lang == "text" && i > 0 && strings.TrimSpace(b.prose) == "" {
			blocks[i-1].output = b
		}
	}
	return blocks, nil
}

var (
	continuation = regexp.MustCompile(`\\\n\s*`)
	heredoc      = regexp.MustCompile(`<<-?'?(\w+)'?`)
	spaces       = regexp.MustCompile(`[ \t]+`)
)

// commands splits a shell text into its commands, without comments and with
// single spaces. A command with a here document has it in it.
func commands(text string) []string {
	var all []string
	lines := strings.Split(continuation.ReplaceAllString(text, " "), "\n")
	for i := 0; i < len(lines); i++ {
		command := strings.TrimSpace(spaces.ReplaceAllString(lines[i], " "))
		if command == "" || strings.HasPrefix(command, "#") {
			continue
		}
		if m := heredoc.FindStringSubmatch(command); m != nil {
			for i++; i < len(lines); i++ {
				command += "\n" + lines[i]
				if strings.TrimSpace(lines[i]) == m[1] {
					break
				}
			}
		}
		all = append(all, command)
	}
	return all
}

func TestParse(t *testing.T) {
	blocks, err := parse("# T\n## Part\ntext\n### Sec\nmore `exit`\n\n1. item\n   ```sh\n   # c\n   a \\\n     b\n   ```\n\n```text\nout\n```\n")
	if err != nil || len(blocks) != 2 {
		t.Fatal(blocks, err)
	}
	b := blocks[0]
	if b.part != "Part" || b.section != "Sec" || b.lang != "sh" || b.text != "# c\na \\\n  b\n" || b.line != 8 || b.first() != `a \` ||
		!strings.Contains(b.prose, "`exit`") || b.output != blocks[1] {
		t.Errorf("%+v", b)
	}
	got := commands(b.text + "\nc - <<EOF\n  x  y\nEOF\nd  e\n")
	if want := "a b|c - <<EOF\n  x  y\nEOF|d e"; strings.Join(got, "|") != want {
		t.Errorf("commands %q, want %q", strings.Join(got, "|"), want)
	}
	if _, err := parse("```sh\n"); err == nil {
		t.Error("a block that does not end is accepted")
	}
}
