// Package crash kills the built hub under full publish load, again and again, and
// reads back what it promised.
//
// Its one invariant: what it demands is exact. Of what a device sent on one
// connection, the log holds a prefix, at least as long as what was acknowledged, in
// order, each once; over all rounds every partition is dense.
package crash
