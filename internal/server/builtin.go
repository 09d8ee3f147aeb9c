package server

import (
	"strongroom/auth/approle"
	"strongroom/auth/cert"
	"strongroom/auth/jwt"
	"strongroom/auth/kubernetes"
	"strongroom/auth/userpass"
	"strongroom/engine/database"
	"strongroom/engine/kv"
	"strongroom/engine/pki"
	"strongroom/engine/transit"
	"strongroom/internal/mount"
)

// builtin lists what can be enabled. A new engine is one folder and one line here.
func builtin() map[string]mount.Type {
	return map[string]mount.Type{
		"database":   {Factory: database.Factory},
		"kv":         {Factory: kv.Factory},
		"pki":        {Factory: pki.Factory},
		"transit":    {Factory: transit.Factory},
		"approle":    {Factory: approle.Factory, Auth: true},
		"cert":       {Factory: cert.Factory, Auth: true},
		"jwt":        {Factory: jwt.Factory, Auth: true},
		"kubernetes": {Factory: kubernetes.Factory, Auth: true},
		"oidc":       {Factory: jwt.Factory, Auth: true},
		"userpass":   {Factory: userpass.Factory, Auth: true},
	}
}
