package iot

import (
	"encoding/base64"
	"encoding/binary"
	"strconv"
)

// IdentityETag is the etag of an identity or a configuration: base64 of the ASCII
// decimal of its counter (service-rest B.1).
func IdentityETag(n uint64) string {
	return base64.StdEncoding.EncodeToString(strconv.AppendUint(nil, n, 10))
}

// TwinETag is the etag of a twin: base64 of its counter as eight bytes, big-endian
// (service-rest B.5). A fresh twin has 1: "AAAAAAAAAAE=".
func TwinETag(n uint64) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, n))
}
