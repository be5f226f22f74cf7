package iot

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func marshal(t *testing.T, v any) string {
	t.Helper()
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestDeviceJSONIsTheRealHubs(t *testing.T) {
	d := Device{
		DeviceID: "d1", GenerationID: "637345907161634714", ETag: "MjQxNzkxMTk4",
		ConnectionState: Disconnected, Status: StatusEnabled,
		Authentication: &Authentication{
			SymmetricKey:   &SymmetricKey{PrimaryKey: "cA==", SecondaryKey: "cw=="},
			X509Thumbprint: &X509Thumbprint{}, Type: AuthenticationSAS,
		},
		Capabilities: &Capabilities{},
	}
	want := `{
 "deviceId": "d1",
 "generationId": "637345907161634714",
 "etag": "MjQxNzkxMTk4",
 "connectionState": "Disconnected",
 "status": "enabled",
 "statusReason": null,
 "connectionStateUpdatedTime": "0001-01-01T00:00:00Z",
 "statusUpdatedTime": "0001-01-01T00:00:00Z",
 "lastActivityTime": "0001-01-01T00:00:00Z",
 "cloudToDeviceMessageCount": 0,
 "authentication": {
  "symmetricKey": {
   "primaryKey": "cA==",
   "secondaryKey": "cw=="
  },
  "x509Thumbprint": {
   "primaryThumbprint": null,
   "secondaryThumbprint": null
  },
  "type": "sas"
 },
 "capabilities": {
  "iotEdge": false
 },
 "parentScopes": []
}`
	if diff := cmp.Diff(want, marshal(t, d)); diff != "" {
		t.Error(diff)
	}
	d.DeviceScope, d.ParentScopes, d.StatusReason = "ms-azure-iot-edge://p-1", Scopes{"ms-azure-iot-edge://p-1"}, "why"
	got := marshal(t, d)
	for _, part := range []string{`"deviceScope": "ms-azure-iot-edge://p-1"`, `"statusReason": "why"`, `"ms-azure-iot-edge://p-1"
 ]`} {
		if !strings.Contains(got, part) {
			t.Errorf("%s lacks %s", got, part)
		}
	}
}

func TestDeviceJSONIsReadWithoutRegardToCase(t *testing.T) {
	in := `{"DEVICEID":"D","status":"Disabled","surprise":[1],"lastActivityTime":null,"connectionState":"who knows",
		"Authentication":{"Type":"SELFSIGNED","x509thumbprint":{"PrimaryThumbprint":"AB"}},"parentScopes":null,"statusReason":null}`
	var got Device
	if err := json.Unmarshal([]byte(in), &got); err != nil {
		t.Fatal(err)
	}
	want := Device{
		DeviceID: "D", Status: StatusDisabled, ConnectionState: "who knows",
		Authentication: &Authentication{Type: AuthenticationSelfSigned, X509Thumbprint: &X509Thumbprint{PrimaryThumbprint: "AB"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{`{"status":"on"}`, `{"authentication":{"type":"password"}}`, `{"status":1}`} {
		if err := json.Unmarshal([]byte(bad), &got); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

func TestEveryEnumIsMatchedWithoutRegardToCase(t *testing.T) {
	for _, mode := range []ImportMode{
		ImportCreateOrUpdate, ImportCreate, ImportUpdate, ImportUpdateIfMatch, ImportCreateOrUpdateIfMatch,
		ImportDelete, ImportDeleteIfMatch, ImportUpdateTwin, ImportUpdateTwinIfMatch,
	} {
		var got BulkItem
		err := json.Unmarshal([]byte(`{"importMode":"`+strings.ToUpper(string(mode))+`"}`), &got)
		if err != nil || got.ImportMode != mode {
			t.Errorf("%s: got %q, %v", mode, got.ImportMode, err)
		}
	}
	var got BulkItem
	err := json.Unmarshal([]byte(`{"importMode":"`+strings.Repeat("x", 1000)+`"}`), &got)
	if err == nil || len(err.Error()) > 400 {
		t.Errorf("an unknown mode: %v", err)
	}
}

func TestModuleJSONIsTheRealHubs(t *testing.T) {
	got := marshal(t, Module{ModuleID: "m", DeviceID: "d", GenerationID: "1", ETag: "MQ==", ConnectionState: Connected})
	want := `{
 "moduleId": "m",
 "managedBy": null,
 "deviceId": "d",
 "generationId": "1",
 "etag": "MQ==",
 "connectionState": "Connected",
 "connectionStateUpdatedTime": "0001-01-01T00:00:00Z",
 "lastActivityTime": "0001-01-01T00:00:00Z",
 "cloudToDeviceMessageCount": 0,
 "authentication": null
}`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTwinJSONIsTheRealHubs(t *testing.T) {
	at := time.Date(2020, 7, 28, 22, 17, 23, 675_682_200, time.UTC)
	twin := Twin{
		DeviceID: "d1", ETag: TwinETag(1), DeviceETag: "NDAzODk4OTIx", Status: StatusEnabled,
		ConnectionState: Disconnected, AuthenticationType: AuthenticationSAS, Version: 2,
		Properties:   TwinProperties{Desired: EmptySection(at), Reported: EmptySection(time.Time{})},
		Capabilities: &Capabilities{}, ParentScopes: Scopes{},
	}
	want := `{"deviceId":"d1","etag":"AAAAAAAAAAE=","deviceEtag":"NDAzODk4OTIx","status":"enabled",` +
		`"statusUpdateTime":"0001-01-01T00:00:00Z","connectionState":"Disconnected","lastActivityTime":"0001-01-01T00:00:00Z",` +
		`"cloudToDeviceMessageCount":0,"authenticationType":"sas","x509Thumbprint":{"primaryThumbprint":null,"secondaryThumbprint":null},` +
		`"modelId":"","version":2,"properties":{` +
		`"desired":{"$metadata":{"$lastUpdated":"2020-07-28T22:17:23.6756822Z"},"$version":1},` +
		`"reported":{"$metadata":{"$lastUpdated":"0001-01-01T00:00:00Z"},"$version":1}},` +
		`"capabilities":{"iotEdge":false},"parentScopes":[]}`
	got, err := json.Marshal(twin)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
	twin.ModuleID, twin.Capabilities, twin.ParentScopes = "m", nil, nil
	if got, _ := json.Marshal(twin); strings.Contains(string(got), "parentScopes") || !strings.Contains(string(got), `"moduleId":"m"`) {
		t.Errorf("module twin: %s", got)
	}
}

func TestBulkResultAlwaysHasBothLists(t *testing.T) {
	got, err := json.Marshal(BulkResult{IsSuccessful: true})
	if err != nil || string(got) != `{"isSuccessful":true,"errors":[],"warnings":[]}` {
		t.Errorf("got %s, %v", got, err)
	}
	got, err = json.Marshal(BulkResult{Errors: []BulkError{{DeviceID: "x", ErrorCode: 404001, ErrorStatus: "x"}}})
	if err != nil || string(got) != `{"isSuccessful":false,"errors":[{"deviceId":"x","errorCode":404001,"errorStatus":"x"}],"warnings":[]}` {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestBulkItemIsReadAsToolsSendIt(t *testing.T) {
	var got BulkItem
	in := `{"id":"d","etag":"*","importMode":"deleteIfMatchEtag","authentication":{"symmetricKey":{"primaryKey":"","secondaryKey":null}}}`
	if err := json.Unmarshal([]byte(in), &got); err != nil {
		t.Fatal(err)
	}
	want := BulkItem{ID: "d", ETag: "*", ImportMode: ImportDeleteIfMatch, Authentication: &Authentication{SymmetricKey: &SymmetricKey{}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if err := got.Authentication.Check(); err != nil || got.Authentication.Kind() != AuthenticationSAS {
		t.Errorf("empty keys mean generate: %v, %s", err, got.Authentication.Kind())
	}
}

func TestStatisticsJSON(t *testing.T) {
	got, _ := json.Marshal(DeviceStatistics{TotalDeviceCount: 5, EnabledDeviceCount: 4, DisabledDeviceCount: 1})
	if string(got) != `{"totalDeviceCount":5,"enabledDeviceCount":4,"disabledDeviceCount":1}` {
		t.Errorf("devices: %s", got)
	}
	got, _ = json.Marshal(ServiceStatistics{ConnectedDeviceCount: 3})
	if string(got) != `{"connectedDeviceCount":3}` {
		t.Errorf("service: %s", got)
	}
}
