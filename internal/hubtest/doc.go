// Package hubtest is what tests need to stand in for the parts of the hub that they do
// not test.
//
// Its one invariant: a fake has behaviour. Core arbitrates, stores and wakes as the
// contract of device.Core demands, only in memory and under the test's control.
package hubtest
