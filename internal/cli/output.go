package cli

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/ryanuber/columnize"
	"sigs.k8s.io/yaml"
)

// cellDelimiter parts the cells of a row for columnize. A control character, because the cells are
// secrets and may hold anything that can be typed.
const cellDelimiter = "\x1f"

// row joins the cells of one table row.
func row(cells ...any) string {
	texts := make([]string, len(cells))
	for i, cell := range cells {
		texts[i] = strings.ReplaceAll(fmt.Sprint(cell), cellDelimiter, " ")
	}
	return strings.Join(texts, cellDelimiter)
}

// columns aligns rows as Vault does: four spaces between columns, "n/a" for an empty cell.
func columns(rows []string) string {
	return columnize.Format(rows, &columnize.Config{
		Delim:  cellDelimiter,
		Glue:   "    ",
		Empty:  "n/a",
		NoTrim: true,
	})
}

// table is columns with its first row underlined.
func table(rows []string) string {
	heads := strings.Split(rows[0], cellDelimiter)
	for i, head := range heads {
		heads[i] = strings.Repeat("-", len(head))
	}
	return columns(slices.Insert(slices.Clone(rows), 1, strings.Join(heads, cellDelimiter)))
}

// heading centres title over width columns, as Vault does over the parts of a KV secret.
func heading(title string, width int) string {
	pad := max(1, (width-len(title)-2+1)/2)
	rule := strings.Repeat("=", pad)
	return rule + " " + title + " " + rule
}

func (c *call) println(text string) { fmt.Fprintln(c.Stdout, text) }

func (c *call) printf(format string, args ...any) { fmt.Fprintf(c.Stdout, format+"\n", args...) }

// isTable tells whether a person reads the output.
func (c *call) isTable() bool { return c.options.format == "table" }

// print writes value as JSON or YAML if that was asked for, and otherwise the text that asTable makes.
func (c *call) print(value any, asTable func() string) error {
	switch c.options.format {
	case "json":
		text, err := json.MarshalIndent(value, "", "  ")
		if err != nil {
			return usagef("Error formatting the answer as JSON: %w", err)
		}
		c.println(string(text))
	case "yaml":
		text, err := yaml.Marshal(value)
		if err != nil {
			return usagef("Error formatting the answer as YAML: %w", err)
		}
		c.println(strings.TrimSpace(string(text)))
	case "raw":
		return usagef("This command does not support the -format=raw option.")
	default:
		if text := asTable(); text != "" {
			c.println(text)
		}
	}
	return nil
}

// success prints a sentence for a person; machines read the exit code.
func (c *call) success(format string, args ...any) {
	if c.isTable() {
		c.printf("Success! "+format, args...)
	}
}

// warnings prints what the server warned of. They go to stderr, so that piped output stays clean.
func (c *call) warnings(texts []string) {
	if len(texts) == 0 || !c.isTable() {
		return
	}
	var b strings.Builder
	b.WriteString("WARNING! The following warnings were returned from Vault:\n")
	for _, text := range texts {
		for i, line := range strings.Split(wrap(text, 76), "\n") {
			if i == 0 {
				b.WriteString("\n  * " + line)
			} else {
				b.WriteString("\n    " + line)
			}
		}
		b.WriteString("\n")
	}
	c.complain(ansiYellow, b.String())
}

// keyValue is a two-column table under Key and Value.
func keyValue(rows ...string) string {
	return table(append([]string{row("Key", "Value")}, rows...))
}

// mapRows are the rows of a map, its keys in order, durations readable.
func mapRows(data map[string]any) []string {
	rows := make([]string, 0, len(data))
	for _, key := range sortedKeys(data) {
		rows = append(rows, row(key, humanField(key, data[key])))
	}
	return rows
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
