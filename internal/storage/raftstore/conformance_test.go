package raftstore

import (
	"testing"

	"strongroom/internal/storage"
	"strongroom/internal/storage/storagetest"
)

func TestConformanceInMemory(t *testing.T) {
	storagetest.TestStore(t, func(t *testing.T) storage.Store { return lead(t, Config{}) })
}

func TestConformanceOnDisk(t *testing.T) {
	storagetest.TestStore(t, func(t *testing.T) storage.Store { return lead(t, Config{Dir: t.TempDir()}) })
}
