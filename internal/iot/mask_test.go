package iot

import (
	"net/netip"
	"testing"
)

func TestMaskAddr(t *testing.T) {
	tests := map[string]string{
		"73.162.215.9":              "73.162.215.XXX",
		"::ffff:10.1.2.3":           "10.1.2.XXX",
		"2001:db8:0:7:1:2:3:4":      "2001:db8:0:7:XXXX:XXXX:XXXX:XXXX",
		"fe80::1234:5678:9abc:def0": "fe80:0:0:0:XXXX:XXXX:XXXX:XXXX",
		"fe80::1%eth0":              "fe80:0:0:0:XXXX:XXXX:XXXX:XXXX",
	}
	for in, want := range tests {
		if got := MaskAddr(netip.MustParseAddr(in)); got != want {
			t.Errorf("MaskAddr(%s) = %q, want %q", in, got, want)
		}
	}
	if got := MaskAddr(netip.Addr{}); got != "" {
		t.Errorf("MaskAddr of no address = %q, want nothing", got)
	}
}
