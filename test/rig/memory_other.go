//go:build !linux

package rig

// PeakMemory cannot be told here.
func (h *Hub) PeakMemory() int64 { return 0 }
