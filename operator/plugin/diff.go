package plugin

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"text/tabwriter"

	vault "github.com/hashicorp/vault/api"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// diff compares a source with the Secret. Values are shown as keyed hashes whose key is drawn for the run and forgotten,
// so that what is printed can be compared with nothing else, and nothing can be guessed from it.
func diff(ctx context.Context, c *call) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	object, err := c.find(ctx)
	if err != nil {
		return err
	}
	switch object.GetKind() {
	case "VaultDynamicSecret", "VaultPKISecret":
		return fmt.Errorf("each reading of a %s makes a new credential, so there is nothing to compare", object.GetKind())
	}
	client, end, err := c.reader(ctx, object)
	if err != nil {
		return err
	}
	defer end()
	source := make(map[string][]byte)
	for _, part := range parts(object) {
		data, err := read(ctx, client, object, part.name)
		if err != nil {
			return err
		}
		if err := part.add(source, data); err != nil {
			return err
		}
	}
	held, err := c.secret(ctx, object.GetNamespace(), target(object))
	if err != nil {
		return fmt.Errorf("read Secret %s: %w", target(object), err)
	}
	return c.compare(object, source, held)
}

// reader is a client with the caller's own token where the environment has one (VAULT_TOKEN, with VAULT_ADDR or --address,
// and VAULT_CACERT), else a login as the resource.
func (c *call) reader(ctx context.Context, object *unstructured.Unstructured) (*vault.Client, func(), error) {
	at, err := c.account(ctx, object)
	if err != nil {
		return nil, nil, err
	}
	token, err := c.ownToken(at)
	if err != nil {
		return nil, nil, err
	}
	if token != "" {
		client, err := c.dial(at)
		if err != nil {
			return nil, nil, err
		}
		client.SetToken(token)
		return client, func() {}, nil
	}
	client, _, err := c.enter(ctx, at, object.GetNamespace())
	if err != nil {
		return nil, nil, fmt.Errorf("%w; or set VAULT_TOKEN and VAULT_ADDR to read the source with a token of your own", err)
	}
	return client, func() { leave(ctx, client) }, nil
}

// ownToken is the caller's token, and makes at the server that the caller names for it; "" without both. To an address
// that a resource names it never goes, nor to whom only the resource trusts: whoever wrote that would get it.
func (c *call) ownToken(at *account) (string, error) {
	token, address := c.Getenv("VAULT_TOKEN"), cmp.Or(c.address, c.Getenv("VAULT_ADDR"))
	if token == "" || address == "" {
		return "", nil
	}
	at.address, at.skipVerify, at.ca, at.serverName = address, false, nil, ""
	if file := c.Getenv("VAULT_CACERT"); file != "" {
		ca, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("read VAULT_CACERT: %w", err)
		}
		at.ca = ca
	}
	return token, nil
}

// part is one source, and how its keys are chosen and named.
type part struct {
	name               string
	includes, excludes []string
	rewrite            []any
}

func parts(object *unstructured.Unstructured) []part {
	spec, _, _ := unstructured.NestedMap(object.Object, "spec")
	list, found, _ := unstructured.NestedSlice(spec, "sources")
	if !found {
		one := map[string]any{}
		if object.GetKind() == "VaultStaticSecret" {
			one, _, _ = unstructured.NestedMap(spec, "destination", "transformation")
		}
		list = []any{one}
	}
	var all []part
	for i, name := range sources(object) {
		each, _ := list[i].(map[string]any)
		p := part{name: name}
		p.includes, _, _ = unstructured.NestedStringSlice(each, "includes")
		p.excludes, _, _ = unstructured.NestedStringSlice(each, "excludes")
		p.rewrite, _, _ = unstructured.NestedSlice(each, "rewrite")
		if _, find, _ := unstructured.NestedMap(each, "find"); find {
			p.name = ""
		}
		all = append(all, p)
	}
	return all
}

// add adds the keys of a source that the part wants, by the names it gives them.
func (p part) add(to map[string][]byte, data map[string]any) error {
	if p.name == "" {
		return fmt.Errorf("a source with find cannot be compared from here: sync it instead")
	}
	for _, key := range slices.Sorted(maps.Keys(data)) {
		in, err := matches(p.includes, key)
		if err != nil {
			return err
		}
		out, err := matches(p.excludes, key)
		if err != nil {
			return err
		}
		if len(p.includes) > 0 && !in || out {
			continue
		}
		name := key
		for _, each := range p.rewrite {
			rule, _ := each.(map[string]any)
			pattern, err := regexp.Compile(text(rule, "pattern"))
			if err != nil {
				return err
			}
			name = pattern.ReplaceAllString(name, text(rule, "replacement"))
		}
		value, isText := data[key].(string)
		to[name] = []byte(value)
		if !isText {
			if to[name], err = json.Marshal(data[key]); err != nil {
				return err
			}
		}
	}
	return nil
}

func matches(patterns []string, key string) (bool, error) {
	for _, each := range patterns {
		pattern, err := regexp.Compile(each)
		if err != nil {
			return false, err
		}
		if pattern.MatchString(key) {
			return true, nil
		}
	}
	return false, nil
}

// compare prints a line a key, and fails if any differs.
func (c *call) compare(object *unstructured.Unstructured, source, held map[string][]byte) error {
	key := make([]byte, sha256.Size)
	_, _ = rand.Read(key) // never fails
	hash := func(value []byte, found bool) string {
		if !found {
			return "-"
		}
		mac := hmac.New(sha256.New, key)
		mac.Write(value)
		return hex.EncodeToString(mac.Sum(nil)[:4])
	}
	_, templated, _ := unstructured.NestedMap(object.Object, "spec", "target", "template", "stringData")
	if !templated {
		_, templated, _ = unstructured.NestedMap(object.Object, "spec", "destination", "transformation", "templates")
	}
	table := tabwriter.NewWriter(c.Stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "KEY\tSOURCE\tSECRET\t")
	differ := 0
	all := maps.Clone(source)
	maps.Copy(all, held)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		ours, inSource := source[name]
		theirs, inSecret := held[name]
		word := "same"
		switch {
		case name == "_raw" && !inSource:
			word = "the server's whole answer"
		case templated && (!inSource || !inSecret):
			word = "by template"
		case !inSource:
			word = "only in the Secret"
		case !inSecret:
			word = "only in the source"
		case !hmac.Equal(ours, theirs):
			word = "differs"
		}
		if word == "differs" || word == "only in the Secret" || word == "only in the source" {
			differ++
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", name, hash(ours, inSource), hash(theirs, inSecret), word)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if differ > 0 {
		return errSaid
	}
	return nil
}
