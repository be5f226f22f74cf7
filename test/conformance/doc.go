// Package conformance holds the tests that unmodified clients make of the built hub:
// npm azure-iot-device, azure-iothub and mqtt, Go paho, the Mosquitto clients and curl,
// over real TLS sockets.
//
// Its one invariant: every hub is the built binary in a process of its own, every client
// is the published one, and nothing is skipped: what is missing fails with the sentence
// that says how to get it.
package conformance
