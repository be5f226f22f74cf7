// Package config is the hub's one configuration: its settings with their defaults,
// the TOML file they are read from, and the checks on them. It also keeps the small
// files of the data folder that commands read whether the hub runs or not: the shared
// access policies, the host names, and how to reach a running hub.
//
// Its one invariant: what Check passes, the hub can start with, the machine
// permitting. It starts nothing and opens no socket.
package config
