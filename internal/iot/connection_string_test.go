package iot

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestConnectionStringThereAndBack(t *testing.T) {
	for text, want := range map[string]ConnectionString{
		"HostName=hub.localtest;DeviceId=dev1;SharedAccessKey=AAAA+/==":                {HostName: "hub.localtest", DeviceID: "dev1", SharedAccessKey: "AAAA+/=="},
		"HostName=h;DeviceId=d;ModuleId=m;SharedAccessKey=k=;GatewayHostName=gw:18883": {HostName: "h", DeviceID: "d", ModuleID: "m", SharedAccessKey: "k=", GatewayHostName: "gw:18883"},
		"HostName=h;DeviceId=a=b,c;x509=true":                                          {HostName: "h", DeviceID: "a=b,c", X509: true},
		"HostName=h;SharedAccessKeyName=iothubowner;SharedAccessKey=x":                 {HostName: "h", SharedAccessKeyName: "iothubowner", SharedAccessKey: "x"},
		"Endpoint=sb://h/;SharedAccessKeyName=service;SharedAccessKey=x;EntityPath=h":  {Endpoint: "sb://h/", SharedAccessKeyName: "service", SharedAccessKey: "x", EntityPath: "h"},
	} {
		got, err := ParseConnectionString(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
		if got.String() != text {
			t.Errorf("printed as %s, want %s", got, text)
		}
	}
}

func TestConnectionStringIsReadGenerously(t *testing.T) {
	want := ConnectionString{HostName: "h", DeviceID: "D", SharedAccessKey: "k", X509: false}
	for _, text := range []string{
		"hostname=h;DEVICEID=D;sharedaccesskey=k",
		" HostName = h ; DeviceId=D;;SharedAccessKey=k; \n",
		"HostName=h;DeviceId=D;SharedAccessKey=k;x509=False;Future=1",
	} {
		got, err := ParseConnectionString(text)
		if err != nil || got != want {
			t.Errorf("%q: got %+v, %v", text, got, err)
		}
	}
	if id := want.Identity(); id != (Identity{Device: "D"}) {
		t.Errorf("identity %v", id)
	}
}

func TestConnectionStringMistakesNeverShowTheKey(t *testing.T) {
	for _, text := range []string{
		"", "HostName", "DeviceId=d;SharedAccessKey=hush", "HostName=h;HostName=h;SharedAccessKey=hush",
		"HostName=h;hush", "HostName=h;x509=hush", "HostName=h;ModuleId=m;SharedAccessKey=hush",
		"HostName=h;SharedAccessKey=hush;" + strings.Repeat("a", MaxConnectionString),
	} {
		got, err := ParseConnectionString(text)
		if err == nil {
			t.Errorf("%.60q is taken", text)
		} else if strings.Contains(err.Error(), "hush") {
			t.Errorf("the error shows the key: %v", err)
		}
		if got != (ConnectionString{}) && err != nil && got.SharedAccessKey != "" {
			t.Errorf("%.60q: half a string beside an error: %+v", text, got)
		}
	}
}

func FuzzParseConnectionString(f *testing.F) {
	for _, seed := range []string{
		"HostName=h;DeviceId=d;SharedAccessKey=AAAA==", "HostName=h;x509=true;DeviceId=d", "Endpoint=sb://h/;EntityPath=e",
		"hostname=;=;;;", "HostName=h;DeviceId=d;ModuleId=m;GatewayHostName=g", "=", ";", "HostName==",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseConnectionString(text)
		if err != nil {
			return
		}
		again, err := ParseConnectionString(c.String())
		if err != nil || again != c {
			t.Fatalf("%q gives %+v, printed %q gives %+v, %v", text, c, c.String(), again, err)
		}
	})
}
