// Package hubtest is what tests need to stand in for the parts of the hub that they do
// not test.
//
// Its one invariant: a fake has behaviour. Core arbitrates, stores and wakes as the
// contract of device.Core demands, only in memory and under the test's control.
//
// Its own tests stand in for nothing: FuzzTwoClients plays two clients against the whole
// hub, as cmd/berth puts it together, with only the engine, the network and time in memory.
package hubtest
