// Package mqttwire is the packets of MQTT 3.1.1 as values: bytes to values and back.
//
// Its one invariant: nothing in a packet chooses how much is allocated. A length is
// checked against the caller's maximum before the body is waited for, and what a
// decoded value holds is at most a small multiple of the packet's size. The package
// knows the standard alone: no topic means anything here.
package mqttwire
