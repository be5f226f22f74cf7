package rig

import (
	"fmt"
	"os"
	"strings"
)

// PeakMemory is the most memory the hub's process has held so far, in bytes; 0 if it
// cannot be told.
func (h *Hub) PeakMemory() int64 {
	h.tb.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", h.PID()))
	if err != nil {
		return 0
	}
	var kib int64
	for line := range strings.Lines(string(b)) {
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kib); err == nil {
			return kib << 10
		}
	}
	return 0
}
