package raftstore

import (
	"bytes"
	"fmt"
	"io"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"strongroom/internal/storage"
)

// BenchmarkApply writes 1 KiB values with 64 writers on one node: through the
// Store, and, as the limit, through Raft with the same log and a state machine
// that does nothing.
func BenchmarkApply(b *testing.B) {
	value := bytes.Repeat([]byte("v"), 1024)
	b.Run("store", func(b *testing.B) {
		s := lead(b, Config{Dir: b.TempDir()})
		var n atomic.Int64
		b.SetParallelism(32) // 64 writers on 2 cores
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				err := s.Apply(b.Context(), storage.Batch{Writes: []storage.Write{{Key: fmt.Sprintf("secret/%08d", n.Add(1)), Value: value}}})
				if err != nil {
					b.Error(err)
				}
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
	})
	b.Run("raft+wal", func(b *testing.B) {
		log, files, err := openLog(b.Context(), b.TempDir(), hclog.NewNullLogger())
		if err != nil {
			b.Fatal(err)
		}
		defer files.Close()
		notify := make(chan bool, 8)
		addr, trans := raft.NewInmemTransport("n1")
		r, err := raft.NewRaft(raftConfig(Config{NodeID: "n1", Heartbeat: testHeartbeat, Logger: hclog.NewNullLogger()}, notify), nothing{}, log, log, raft.NewDiscardSnapshotStore(), trans)
		if err != nil {
			b.Fatal(err)
		}
		defer func() { r.Shutdown().Error() }()
		if err := r.BootstrapCluster(raft.Configuration{Servers: []raft.Server{{ID: "n1", Address: addr}}}).Error(); err != nil {
			b.Fatal(err)
		}
		<-notify
		b.SetParallelism(32)
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := r.Apply(value, 0).Error(); err != nil {
					b.Error(err)
				}
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
	})
}

// nothing is a state machine without a state.
type nothing struct{}

func (nothing) Apply(*raft.Log) any                 { return nil }
func (nothing) ApplyBatch(l []*raft.Log) []any      { return make([]any, len(l)) }
func (nothing) Snapshot() (raft.FSMSnapshot, error) { return nil, raft.ErrNothingNewToSnapshot }
func (nothing) Restore(r io.ReadCloser) error       { return r.Close() }

// BenchmarkRead is what the read path costs.
func BenchmarkRead(b *testing.B) {
	s := lead(b, Config{Dir: b.TempDir()})
	value := string(bytes.Repeat([]byte("v"), 1024))
	for i := range 1000 {
		if err := s.Apply(b.Context(), put(fmt.Sprintf("secret/%04d", i), value)); err != nil {
			b.Fatal(err)
		}
	}
	for _, flushed := range []bool{false, true} {
		if flushed {
			if err := s.Flush(); err != nil {
				b.Fatal(err)
			}
		}
		b.Run(fmt.Sprintf("get/flushed=%v", flushed), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if e, err := s.Get(b.Context(), fmt.Sprintf("secret/%04d", i%1000)); err != nil || !e.Exists() {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("version/flushed=%v", flushed), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if v, err := s.Version(b.Context(), "secret/0500"); err != nil || v == 0 {
					b.Fatal(err)
				}
			}
		})
	}
}
