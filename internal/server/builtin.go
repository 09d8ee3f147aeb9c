package server

import (
	"strongroom/auth/kubernetes"
	"strongroom/engine/kv"
	"strongroom/internal/mount"
)

// builtin lists what can be enabled. A new engine is one folder and one line here.
func builtin() map[string]mount.Type {
	return map[string]mount.Type{
		"kv":         {Factory: kv.Factory},
		"kubernetes": {Factory: kubernetes.Factory, Auth: true},
	}
}
