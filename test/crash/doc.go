// Package crash breaks the built hub and reads back what it promised: it kills it under full
// publish load, at its start and under retention, fills its disk, and flips bits of what it
// stored.
//
// Its one invariant: what it demands is exact. Of what a device sent on one
// connection, the log holds a prefix, at least as long as what was acknowledged, in
// order, each once, but for what retention took from the front; over all rounds every
// partition is dense; what cannot be served is told.
package crash
