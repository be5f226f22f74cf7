package storetest

import (
	"testing"
)

// Subject is an engine under test.
type Subject struct {
	Engine
	// Reopen closes the engine and opens another on the same data; nil for an engine that
	// cannot.
	Reopen func(t *testing.T) Engine
}

// Run runs the contract of package store against an engine. open gives an empty one,
// and cleans it up when the test ends.
func Run(t *testing.T, open func(t *testing.T) Subject) {
	t.Helper()
	run := func(name string, f func(*testing.T, Subject)) {
		t.Run(name, func(t *testing.T) { f(t, open(t)) })
	}
	run("RecordsGetGivesWhatApplyWrote", recordsGetGivesWhatApplyWrote)
	run("RecordsDemandsAreMetOrNothingIsWritten", recordsDemands)
	run("RecordsRevisionsGrowAndNeverReturn", recordsRevisions)
	run("RecordsIndexFollowsItsRecord", recordsIndex)
	run("RecordsIndexKeepsBinaryOrder", recordsIndexOrder)
	run("RecordsScanIsOrderedAndBounded", recordsScan)
	run("RecordsCountersAdd", recordsCounters)
	run("RecordsOneWinnerPerRevision", recordsOneWinner)
	run("RecordsHonourTheContext", recordsContext)
	run("RecordsSurviveReopening", recordsReopen)
	run("LogReadGivesWholeBlocksFromTheOneThatHolds", logRead)
	run("LogPartitionsAreApart", logPartitions)
	run("LogCommitIsWhole", logCommitWhole)
	run("LogTrimForgetsBlocksAndMarks", logTrim)
	run("LogTailsAndMarksSurviveReopening", logReopen)
	run("ClaimsGreatestEpochHolds", claimsGreatest)
	run("ClaimsLateReleaseIsHarmless", claimsLateRelease)
	run("ClaimsGrowOverRestarts", claimsReopen)
}

// must ends the test on an error.
func must[T any](t *testing.T, v T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return v
}
