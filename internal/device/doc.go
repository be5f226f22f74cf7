// Package device is the waist of the hub: Core and Session are all that a
// transport may know of it, and the facts here are all that the hub knows of a
// connection.
//
// Its one invariant: a transport cannot tell whether other sessions exist. It
// holds no implementation.
package device
