// Package mqtt is Azure's reading of MQTT 3.1.1: who a CONNECT speaks for, what a
// topic means, and the conversation of one device or module.
//
// Its one invariant: nothing a peer names reaches beyond its own identity. Every
// topic and filter is compared, byte for byte, with what the authenticated identity
// may use, at the time of use. The package knows the hub as device.Core alone and the
// socket as a net.Conn, so it cannot tell TLS from a WebSocket.
package mqtt
