// Package pki is the hub's own certificates: a private CA and two server
// certificates in the data folder, or a certificate of the operator's own, and the
// TLS configuration made of them.
//
// Its one invariant: once made, the CA is never replaced, because devices trust it.
// It does not judge client certificates: it asks for one and hands it on.
package pki
