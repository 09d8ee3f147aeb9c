package audit

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"strongroom/internal/storage"
)

// sample is a read of a secret as the gateway records it, and its answer.
func sample() (*Exchange, *Response) {
	x := &Exchange{
		Auth: &Auth{ClientToken: "hvs.0123456789abcdefghijABCD", Accessor: "0123456789abcdefghijABCD", DisplayName: "kubernetes-default-app", Policies: []string{"default", "app"},
			TokenPolicies: []string{"default", "app"}, Metadata: map[string]string{"role": "app", "service_account_name": "app"}, TokenType: "service",
			TokenTTL: time.Hour, TokenIssueTime: time.Unix(1e9, 0), Decided: true, Allowed: true},
		Request: Request{ID: "7cd9b9d9-ff32-4899-8d90-708c7ba3c5d5", Operation: "read", Path: "secret/data/app/db", NamespaceID: "root", MountPoint: "secret/", MountType: "kv",
			MountAccessor: "kv_519cc253", MountClass: "secret", ClientToken: "hvs.0123456789abcdefghijABCD", Accessor: "0123456789abcdefghijABCD",
			RemoteAddress: "10.0.0.1", RemotePort: 4711, Headers: http.Header{"User-Agent": {"Go-http-client/1.1"}}},
	}
	return x, &Response{MountPoint: "secret/", MountType: "kv", Accessor: "kv_519cc253", MountClass: "secret",
		Data: []byte(`{"data":{"AWS_ACCESS_KEY_ID":"AKIAIOSFODNN7EXAMPLE","AWS_ENDPOINTS":"https://0123456789abcdef.r2.example.com","AWS_SECRET_ACCESS_KEY":"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"},"metadata":{"created_time":"2026-11-24T15:18:55.224977564Z","custom_metadata":null,"deletion_time":"","destroyed":false,"version":1}}`)}
}

// journal opens a log and its state in memory.
func journal(t testing.TB, o Options, declared ...Spec) (*Journal, storage.Store) {
	t.Helper()
	log, err := Open(declared, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	store := storage.NewMem()
	tx := storage.Begin(store)
	if err := Initialize(t.Context(), tx, "root"); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	return log.Journal("root"), store
}

// What a request and its answer cost on one file device.
func BenchmarkRecordFile(b *testing.B) {
	j, store := journal(b, Options{}, Spec{Path: "file", Type: "file", Options: map[string]string{"file_path": filepath.Join(b.TempDir(), "audit.log")}})
	devices, err := j.Devices(b.Context(), storage.Begin(store))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			x, resp := sample()
			x.Defer("")
			if err := devices.Response(b.Context(), x, resp, ""); err != nil {
				b.Error(err)
			}
		}
	})
}

// What of it is making the records.
func BenchmarkRecordForm(b *testing.B) {
	r := &recorder{settings: settings{hashAccessor: true}, hash: newHasher(make([]byte, 32)), headers: []header{{"user-agent", "User-Agent", false}}}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		x, resp := sample()
		buf = r.record(buf[:0], x, nil, "", time.Unix(1e9, 0))
		buf = r.record(buf[:0], x, resp, "", time.Unix(1e9, 0))
	}
}

// The answer of a long list: one hash a key.
func BenchmarkRecordList(b *testing.B) {
	r := &recorder{settings: settings{hashAccessor: true}, hash: newHasher(make([]byte, 32))}
	x, resp := sample()
	x.Request.Operation = "list"
	keys := make([]string, 10_000)
	for i := range keys {
		keys[i] = fmt.Sprintf("customer-%05d", i)
	}
	resp.Data, _ = json.Marshal(map[string][]string{"keys": keys}) // texts only
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = r.record(buf[:0], x, resp, "", time.Unix(1e9, 0))
	}
}

// What a record of 10,000 hashes costs, where many requests make one at a time.
func BenchmarkRecordLong(b *testing.B) {
	for _, conns := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("%d at once", conns), func(b *testing.B) {
			j, store := journal(b, Options{}, Spec{Path: "file", Type: "file", Options: map[string]string{"file_path": filepath.Join(b.TempDir(), "audit.log")}})
			devices, err := j.Devices(b.Context(), storage.Begin(store))
			if err != nil {
				b.Fatal(err)
			}
			keys := make([]string, 10_000)
			for i := range keys {
				keys[i] = fmt.Sprintf("customer-%05d", i)
			}
			data, _ := json.Marshal(map[string]any{"keys": keys})
			b.ReportAllocs()
			b.ResetTimer()
			var left atomic.Int64
			left.Store(int64(b.N))
			var all sync.WaitGroup
			for range conns {
				all.Go(func() {
					for left.Add(-1) >= 0 {
						x, resp := sample()
						resp.Data = data
						x.Defer("")
						if err := devices.Response(b.Context(), x, resp, ""); err != nil {
							b.Error(err)
						}
					}
				})
			}
			all.Wait()
		})
	}
}
