// Package client is the command line's view of a running hub: it finds the hub from
// a connection string or a data folder, signs requests with a shared access policy,
// calls the service API, and reads the hub's streams.
//
// Its one invariant: what the hub refused is a *RefusedError with the hub's own code and
// sentence, and what could not be reached is ErrNoHub or a plain error; nothing it
// returns holds a key or a token.
package client
