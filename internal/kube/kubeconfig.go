package kube

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"sigs.k8s.io/yaml"
)

// kubeconfig is the part of a kubeconfig file that is understood.
type kubeconfig struct {
	CurrentContext string `json:"current-context"`
	Clusters       []struct {
		Name    string `json:"name"`
		Cluster struct {
			Server        string `json:"server"`
			TLSServerName string `json:"tls-server-name"`
			CAFile        string `json:"certificate-authority"`
			CA            []byte `json:"certificate-authority-data"`
			Insecure      bool   `json:"insecure-skip-tls-verify"`
		} `json:"cluster"`
	} `json:"clusters"`
	Contexts []struct {
		Name    string `json:"name"`
		Context struct {
			Cluster   string `json:"cluster"`
			User      string `json:"user"`
			Namespace string `json:"namespace"`
		} `json:"context"`
	} `json:"contexts"`
	Users []kubeconfigUser `json:"users"`
}

type kubeconfigUser struct {
	Name string `json:"name"`
	User struct {
		Token     string `json:"token"`
		TokenFile string `json:"tokenFile"`
		CertFile  string `json:"client-certificate"`
		Cert      []byte `json:"client-certificate-data"`
		KeyFile   string `json:"client-key"`
		Key       []byte `json:"client-key-data"`
		Exec      any    `json:"exec"`
	} `json:"user"`
}

// Kubeconfig is the API server of the current context in the kubeconfig at
// path. Users have a token or a certificate; plugins are not run.
func Kubeconfig(path string) (*Client, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("kube: kubeconfig: %w", err)
	}
	var k kubeconfig
	if err := yaml.Unmarshal(text, &k); err != nil {
		return nil, fmt.Errorf("kube: kubeconfig %s is not one: see that it is YAML with clusters, contexts and users", path) // the error may quote a key
	}
	config, err := k.config(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("kube: kubeconfig %s: %w", path, err)
	}
	return New(config), nil
}

// config resolves the current context; dir is what its file names are relative to.
func (k *kubeconfig) config(dir string) (Config, error) {
	file := func(name string) string {
		if name == "" || filepath.IsAbs(name) {
			return name
		}
		return filepath.Join(dir, name)
	}
	var config Config
	var cluster, user string
	found := false
	for _, c := range k.Contexts {
		if c.Name == k.CurrentContext {
			cluster, user, config.Namespace, found = c.Context.Cluster, c.Context.User, c.Context.Namespace, true
		}
	}
	if !found {
		return config, errors.New("current-context names no context: run \"kubectl config use-context\"")
	}
	for _, c := range k.Clusters {
		if c.Name != cluster {
			continue
		}
		config.URL, config.ServerName, config.Insecure = c.Cluster.Server, c.Cluster.TLSServerName, c.Cluster.Insecure
		if ca := c.Cluster.CA; len(ca) > 0 {
			config.CA = func() ([]byte, error) { return ca, nil }
		} else if name := file(c.Cluster.CAFile); name != "" {
			config.CA = func() ([]byte, error) { return os.ReadFile(name) }
		}
	}
	if config.URL == "" {
		return config, errors.New("the current context names no cluster with a server")
	}
	for _, u := range k.Users {
		if u.Name == user {
			return config, u.credentials(&config, file)
		}
	}
	return config, nil // nobody
}

func (u *kubeconfigUser) credentials(config *Config, file func(string) string) error {
	cert, key := u.User.Cert, u.User.Key
	var err error
	if len(cert) == 0 && u.User.CertFile != "" {
		if cert, err = os.ReadFile(file(u.User.CertFile)); err != nil {
			return err
		}
	}
	if len(key) == 0 && u.User.KeyFile != "" {
		if key, err = os.ReadFile(file(u.User.KeyFile)); err != nil {
			return err
		}
	}
	if len(cert) > 0 {
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return fmt.Errorf("the user's client certificate: %w", err)
		}
		config.Cert = &pair
	}
	token := u.User.Token
	switch {
	case u.User.TokenFile != "":
		config.Token = TokenFile(file(u.User.TokenFile))
	case token != "":
		config.Token = func() (string, error) { return token, nil }
	case config.Cert == nil && u.User.Exec != nil:
		return errors.New("the user's credentials come from a plugin (exec), which is not run: give it a token, a tokenFile or a client certificate")
	}
	return nil
}
