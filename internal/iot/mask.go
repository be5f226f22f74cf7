package iot

import (
	"fmt"
	"net/netip"
	"strconv"
)

// MaskAddr hides who exactly an address is, as the resource log does: an IPv4
// address loses its last octet ("73.162.215.XXX"), an IPv6 address its interface
// part, the last 64 bits ("2001:db8:0:7:XXXX:XXXX:XXXX:XXXX"). The invalid address
// gives "".
func MaskAddr(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	a = a.Unmap()
	if a.Is4() {
		b := a.As4()
		return fmt.Sprintf("%d.%d.%d.XXX", b[0], b[1], b[2])
	}
	b := a.As16()
	var s []byte
	for i := 0; i < 8; i += 2 {
		s = strconv.AppendUint(s, uint64(b[i])<<8|uint64(b[i+1]), 16)
		s = append(s, ':')
	}
	return string(s) + "XXXX:XXXX:XXXX:XXXX"
}
