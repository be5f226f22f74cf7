package iot

import "time"

// LogQuery says which records of the resource log a reader wants. The zero LogQuery
// is every record kept, to the end.
type LogQuery struct {
	Since    time.Time // only records of this time or later
	Device   string    // only records of this device and its modules
	Module   string    // with Device: only records of this module
	Category string    // "Connections", "DeviceTelemetry", …; letter case aside
	Tail     int       // if positive, of the records already there only the last Tail; at most MaxLogTail
	Follow   bool      // go on with new records until the context ends
}

// MaxLogTail is the greatest LogQuery.Tail; a greater one is cut to it.
const MaxLogTail = 10_000
