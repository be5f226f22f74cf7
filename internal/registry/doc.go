// Package registry keeps device and module identities: their keys, certificates and
// status. It answers one question for the hub, "is this credential good?", and all
// of the registry's for the service API.
//
// Its one invariant: an answer rests on the record as stored at that moment, and
// whoever holds a live connection is told (Watch, WatchCAs) before the call that
// made its credential worthless returns. It knows no connection, opens no socket,
// and never puts a key or a token into an error or a log.
//
// # On disk
//
// Identities are records of the store. Ids hold no '/', so it separates:
//
//	reg/d/<device>            one device
//	reg/m/<device>/<module>   one module
//	reg/ca                    all certificate authorities, in one record
//
// The value of the first two is binary. Numbers are unsigned varints (encoding/binary),
// texts and byte strings are a varint length and that many bytes:
//
//	byte    version, 1
//	byte    flags: 1 disabled, 2 edge device
//	byte    authentication: 1 sas, 2 selfSigned, 3 certificateAuthority, 4 none
//	varint  generation: 100 ns ticks from year 1 to the creation
//	varint  etag counter
//	varint  statusUpdatedTime in ticks, 0 for never
//	varint  number of modules (devices only, else 0)
//	bytes   primary key, 16 to 64 bytes, or none
//	bytes   secondary key
//	text    primary thumbprint, 40 or 64 hexadecimal digits as registered, or none
//	text    secondary thumbprint
//	text    statusReason
//	text    deviceScope
//	varint  number of parent scopes, then each as a text
//	text    managedBy (modules only)
//
// The value of reg/ca is the JSON of an array of iot.Authority behind {"version":1,"authorities":…}.
//
// Each device has one index key, reg/status/enabled/<device> or
// reg/status/disabled/<device>. Three counters move in the batch of the change they
// count: reg/devices, reg/disabled and reg/modules.
//
// Deleting an identity also deletes, in the same batch, the records that Config.Kept
// names.
//
// Every change of a device's set of modules also writes the device's record, so a
// device and its modules are always changed under one revision.
package registry
