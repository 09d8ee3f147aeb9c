package kubetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	storageClass    = "local-path"
	provisionerName = "rancher.io/local-path"

	provisionedBy = "pv.kubernetes.io/provisioned-by"
	selectedNode  = "volume.kubernetes.io/selected-node"
)

// provisioner makes the volumes of the storage class: folders on the disk of the
// node that the scheduler chose for the first pod of a claim. It deletes them,
// with their data, when the claim is deleted.
type provisioner struct {
	api    string
	client *http.Client // without a limit of time
	disks  string       // folder of the nodes' disks
	log    *os.File
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// meta is of an object's metadata what is used here.
type meta struct {
	Name              string            `json:"name,omitempty"`
	Namespace         string            `json:"namespace,omitempty"`
	UID               string            `json:"uid,omitempty"`
	ResourceVersion   string            `json:"resourceVersion,omitempty"`
	DeletionTimestamp string            `json:"deletionTimestamp,omitempty"`
	Annotations       map[string]string `json:"annotations,omitempty"`
}

type claim struct {
	Metadata meta
	Spec     struct {
		StorageClassName, VolumeName, VolumeMode string
		AccessModes                              []string
		Resources                                struct{ Requests map[string]string }
	}
}

type volume struct {
	Metadata meta
	Spec     struct {
		PersistentVolumeReclaimPolicy string
		Local                         struct{ Path string }
	}
	Status struct{ Phase string }
}

func (c *Cluster) startProvisioner() (*provisioner, error) {
	log, err := os.OpenFile(filepath.Join(c.Logs, "provisioner.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &provisioner{api: c.URL, client: &http.Client{Transport: c.admin.Transport}, disks: c.slot.dir, log: log, cancel: cancel}
	p.done.Go(func() { watch(ctx, p, "/api/v1/persistentvolumeclaims", p.provision) })
	p.done.Go(func() { watch(ctx, p, "/api/v1/persistentvolumes", p.reclaim) })
	return p, nil
}

func (p *provisioner) stop() {
	p.cancel()
	p.done.Wait()
	p.log.Close()
}

// watch gives act all objects of a kind, now and whenever one changes, until ctx
// ends. After an error it begins anew, so act sees again what it failed at.
func watch[T any](ctx context.Context, p *provisioner, path string, act func(context.Context, T) error) {
	for ctx.Err() == nil {
		err := watchOnce(ctx, p, path, act)
		if ctx.Err() != nil {
			return
		}
		fmt.Fprintf(p.log, "%s: watching %s: %v\n", time.Now().Format(time.RFC3339Nano), path, err)
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func watchOnce[T any](ctx context.Context, p *provisioner, path string, act func(context.Context, T) error) error {
	resp, err := p.do(ctx, http.MethodGet, path+"?watch=true", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	for events := json.NewDecoder(resp.Body); ; {
		var event struct {
			Type   string
			Object json.RawMessage
		}
		if err := events.Decode(&event); err != nil {
			return err
		}
		if event.Type != "ADDED" && event.Type != "MODIFIED" {
			continue
		}
		var object T
		if err := json.Unmarshal(event.Object, &object); err != nil {
			return err
		}
		if err := act(ctx, object); err != nil {
			return err
		}
	}
}

// provision makes the volume of a claim that waits for one.
func (p *provisioner) provision(ctx context.Context, c claim) error {
	node := c.Metadata.Annotations[selectedNode]
	if c.Spec.StorageClassName != storageClass || c.Spec.VolumeName != "" || c.Metadata.DeletionTimestamp != "" || node == "" {
		return nil
	}
	name := "pvc-" + c.Metadata.UID
	dir := filepath.Join(p.disks, filepath.Base(node), "volumes", name)
	if err := os.Mkdir(dir, 0o777); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	if err := os.Chmod(dir, 0o777); err != nil { // whatever the umask; pods without fsGroup write too
		return err
	}
	_, err := p.do(ctx, http.MethodPost, "/api/v1/persistentvolumes", jsonObject{
		"apiVersion": "v1", "kind": "PersistentVolume",
		"metadata": meta{Name: name, Annotations: map[string]string{provisionedBy: provisionerName}},
		"spec": jsonObject{
			"capacity": c.Spec.Resources.Requests, "accessModes": c.Spec.AccessModes, "volumeMode": c.Spec.VolumeMode,
			"storageClassName": storageClass, "persistentVolumeReclaimPolicy": "Delete",
			"local": jsonObject{"path": dir},
			"claimRef": jsonObject{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": c.Metadata.Namespace,
				"name": c.Metadata.Name, "uid": c.Metadata.UID, "resourceVersion": c.Metadata.ResourceVersion},
			"nodeAffinity": jsonObject{"required": jsonObject{"nodeSelectorTerms": []jsonObject{{"matchExpressions": []jsonObject{
				{"key": "kubernetes.io/hostname", "operator": "In", "values": []string{node}}}}}}},
		},
	}, http.StatusConflict)
	return err
}

// reclaim deletes a volume whose claim is gone, and its data.
func (p *provisioner) reclaim(ctx context.Context, v volume) error {
	if v.Metadata.Annotations[provisionedBy] != provisionerName || v.Status.Phase != "Released" ||
		v.Metadata.DeletionTimestamp != "" || v.Spec.PersistentVolumeReclaimPolicy != "Delete" {
		return nil
	}
	if err := os.RemoveAll(v.Spec.Local.Path); err != nil {
		return err
	}
	_, err := p.do(ctx, http.MethodDelete, "/api/v1/persistentvolumes/"+v.Metadata.Name, nil, http.StatusNotFound)
	return err
}

// do sends a request. Statuses over 299 are errors, but for those named. The
// body of an answer to GET is the caller's to close.
func (p *provisioner) do(ctx context.Context, method, path string, body any, fine ...int) (*http.Response, error) {
	var content io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(ctx, method, p.api+path, content)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := p.client.Do(req)
	if err != nil {
		return nil, err
	}
	if method == http.MethodGet && resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	for _, status := range fine {
		if resp.StatusCode == status {
			return resp, err
		}
	}
	if resp.StatusCode > 299 {
		return nil, fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, bytes.TrimSpace(answer))
	}
	return resp, err
}
