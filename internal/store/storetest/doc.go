// Package storetest is the contract of a storage engine, as a suite every engine
// passes (Run), a comparison of two engines under the same random program (Compare),
// and an engine in memory that can be told to fail (Memory).
//
// Its one invariant: it knows the interfaces of package store and no engine.
package storetest
