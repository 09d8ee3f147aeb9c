package source

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/intstr"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
)

// KV names a secret of a KV engine.
type KV struct {
	Path    string // mount and key, without slashes at the ends
	Version int    // of the engine: 1, 2, or 0 for what the server says
}

// ParseKV checks a source of a spec. Errors are Problems: InvalidSpec.
func ParseKV(spec v1beta1.KVSource) (KV, error) {
	kv := KV{Path: strings.Trim(spec.Path, "/")}
	if !strings.Contains(kv.Path, "/") {
		return KV{}, condition.Problemf(v1beta1.ReasonInvalidSpec,
			"source.kv.path %q names a mount only: write MOUNT/KEY, such as secret/myapp", spec.Path)
	}
	for segment := range strings.SplitSeq(kv.Path, "/") {
		if segment == "" || segment == "." || segment == ".." || strings.ContainsFunc(segment, control) {
			return KV{}, condition.Problemf(v1beta1.ReasonInvalidSpec,
				"source.kv.path %q has an empty part, a . or .. or a control character", spec.Path)
		}
	}
	version, err := engineVersion(spec.Version)
	kv.Version = version
	return kv, err
}

func control(r rune) bool { return r < ' ' || r == 0x7f }

func engineVersion(version *intstr.IntOrString) (int, error) {
	if version == nil {
		return 0, nil
	}
	switch version.String() {
	case "1", "v1", "kv-v1":
		return 1, nil
	case "2", "v2", "kv-v2":
		return 2, nil
	}
	return 0, condition.Problemf(v1beta1.ReasonInvalidSpec,
		"source.kv.version %q is not the version of a KV engine: 1 or 2 (also v1, v2, kv-v1, kv-v2)", version.String())
}

// mount is where an engine is on a server.
type mount struct {
	path    string // with a slash at the end
	version int    // 1 or 2
}

// covers tells whether the mount holds path. Mounts never nest.
func (m mount) covers(path string) bool {
	return strings.HasPrefix(path, m.path) && len(path) > len(m.path)
}

// guess is what to try when the server does not say: the first part is the mount, as in most set-ups.
func guess(kv KV) mount {
	first, _, _ := strings.Cut(kv.Path, "/")
	if kv.Version == 0 {
		return mount{path: first + "/", version: 2}
	}
	return mount{path: first + "/", version: kv.Version}
}

// locate gives the path on the server's API, and the secret's name as the CLI takes it.
func (m mount) locate(kv KV) (api, name string, err error) {
	if kv.Version != 0 && kv.Version != m.version {
		return "", "", condition.Problemf(v1beta1.ReasonInvalidSpec,
			"source.kv.version is %d, but %s on the server is a KV engine of version %d: write %d, or leave version out",
			kv.Version, m.path, m.version, m.version)
	}
	key := strings.TrimPrefix(kv.Path, m.path)
	if m.version == 1 {
		return m.path + key, m.path + key, nil
	}
	if rest := strings.TrimPrefix(key, "data/"); rest != "" {
		key = rest // written as on the API: secret/data/myapp
	}
	return m.path + "data/" + key, m.path + key, nil
}

// parseMount reads the answer of sys/internal/ui/mounts/PATH. Errors are Problems: InvalidSpec, MountNotFound.
func parseMount(kv KV, data map[string]any) (mount, error) {
	path, _ := data["path"].(string)
	found := mount{path: strings.Trim(path, "/") + "/", version: 1}
	if !found.covers(kv.Path) {
		return mount{}, condition.Problemf(v1beta1.ReasonMountNotFound,
			"the server says that %q is mounted at %q, which holds no key of source.kv.path: write MOUNT/KEY", kv.Path, path)
	}
	switch kind, _ := data["type"].(string); kind {
	case "kv", "generic":
	default:
		return mount{}, condition.Problemf(v1beta1.ReasonInvalidSpec,
			"%s on the server is a %s engine, and source.kv reads KV engines only", found.path, kind)
	}
	if options, _ := data["options"].(map[string]any); options != nil && fmt.Sprint(options["version"]) == "2" {
		found.version = 2
	}
	return found, nil
}
