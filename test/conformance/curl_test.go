package conformance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/berth-iot/berth/test/rig"
)

// azVersion is the api-version of the az command line.
const azVersion = "2024-03-31"

// curl sends one request with curl; header lines are whole.
func curl(t *testing.T, h *rig.Hub, method, path, body string, header ...string) rig.Response {
	t.Helper()
	rig.Need(t, "curl")
	host, port, err := net.SplitHostPort(h.Run.HTTPS)
	if err != nil {
		t.Fatal(err)
	}
	a := []string{
		"--silent", "--show-error", "--include", "--max-time", "20", "--http1.1", "--path-as-is", "--cacert", h.CAFile,
		"--connect-to", rig.Host + ":443:" + host + ":" + port, "--request", method, "https://" + rig.Host + path,
	}
	if body != "" {
		a = append(a, "--data-binary", "@-", "--header", "Content-Type: application/json; charset=utf-8")
	}
	for _, line := range header {
		if name, ok := strings.CutSuffix(line, ": "); ok {
			line = name + ";" // curl's way to send an empty header
		}
		a = append(a, "--header", line)
	}
	out := rig.Run(t, []byte(body), "curl", a...).Must()
	head, rest, _ := bytes.Cut(out.Stdout, []byte("\r\n\r\n"))
	for bytes.HasPrefix(head, []byte("HTTP/1.1 100")) {
		head, rest, _ = bytes.Cut(rest, []byte("\r\n\r\n"))
	}
	lines := strings.Split(string(head), "\r\n")
	fields := strings.Fields(lines[0])
	if len(fields) < 2 {
		t.Fatalf("%s %s: answer %q", method, path, out.Stdout)
	}
	status, err := strconv.Atoi(fields[1])
	if err != nil {
		t.Fatalf("status line %q: %v", lines[0], err)
	}
	res := rig.Response{Status: status, Header: http.Header{}, Body: rest}
	for _, line := range lines[1:] {
		k, v, _ := strings.Cut(line, ":")
		res.Header.Add(textproto.CanonicalMIMEHeaderKey(k), strings.TrimSpace(v))
	}
	return res
}

// asAz sends a request as the az command line does.
func asAz(t *testing.T, h *rig.Hub, method, path, body string, header ...string) rig.Response {
	t.Helper()
	fields, err := rig.ParseConnectionString(h.PolicyString("iothubowner"))
	if err != nil {
		t.Fatal(err)
	}
	token := rig.Token(url.QueryEscape(rig.Host), fields["SharedAccessKey"], "iothubowner")
	sep := "?"
	if strings.Contains(path, "?") {
		sep = "&"
	}
	return curl(t, h, method, path+sep+"api-version="+azVersion, body, append(header, "Authorization: "+token)...)
}

// TestAzDeviceIdentity sends the requests of az iot hub device-identity create, show,
// update, list and delete that need no query.
func TestAzDeviceIdentity(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{})
	created := asAz(t, h, "PUT", "/devices/az1",
		`{"deviceId":"az1","authentication":{"type":"sas","symmetricKey":{"primaryKey":null,"secondaryKey":null},"x509Thumbprint":{"primaryThumbprint":null,"secondaryThumbprint":null}},"capabilities":{"iotEdge":false},"status":"enabled","statusReason":null,"deviceScope":null}`).Want(t, 200)
	var d rig.Identity
	created.JSON(t, &d)
	if len(d.Key()) != 44 {
		t.Errorf("key %q, want one of the hub's making", d.Key())
	}
	if got, want := created.Header.Get("ETag"), `"`+d.ETag+`"`; got != want {
		t.Errorf("ETag header %s, want %s", got, want)
	}
	if got := created.Header.Get("Content-Type"); got != "application/json; charset=utf-8" {
		t.Errorf("Content-Type %q", got)
	}
	if created.Header.Get("X-Ms-Request-Id") == "" {
		t.Error("x-ms-request-id is missing")
	}
	var shown map[string]any
	asAz(t, h, "GET", "/devices/az1", "").Want(t, 200).JSON(t, &shown)
	for _, key := range []string{
		"deviceId", "generationId", "etag", "connectionState", "status", "statusReason", "connectionStateUpdatedTime",
		"statusUpdatedTime", "lastActivityTime", "cloudToDeviceMessageCount", "authentication", "capabilities", "parentScopes",
	} {
		if _, ok := shown[key]; !ok {
			t.Errorf("the device has no member %q: %v", key, shown)
		}
	}
	// az update: GET, change, PUT with the whole document and the quoted etag.
	shown["status"], shown["statusReason"] = "disabled", "spare part"
	body, err := json.Marshal(shown)
	if err != nil {
		t.Fatal(err)
	}
	asAz(t, h, "PUT", "/devices/az1", string(body), `If-Match: "`+d.ETag+`"`).Want(t, 200).JSON(t, &d)
	if d.Status != "disabled" || d.StatusReason != "spare part" {
		t.Errorf("updated %+v", d)
	}
	var all []rig.Identity
	asAz(t, h, "GET", "/devices?top=10", "").Want(t, 200).JSON(t, &all)
	if len(all) != 1 {
		t.Errorf("list gives %d devices, want 1", len(all))
	}
	if res := asAz(t, h, "DELETE", "/devices/az1", "", `If-Match: "*"`).Want(t, 204); len(res.Body) != 0 || res.Header.Get("Content-Length") != "0" && res.Header.Get("Content-Length") != "" {
		t.Errorf("delete answers %q with %v", res.Body, res.Header)
	}
	asAz(t, h, "GET", "/devices/az1", "").Want(t, 404)
}

// TestIfMatch goes through every way in which clients write If-Match.
func TestIfMatch(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{})
	d := h.AddDevice("dev1")
	stale := `"bm90IHRoZSB0YWc="`
	body := func(reason string) string {
		return fmt.Sprintf(`{"deviceId":"dev1","status":"enabled","statusReason":%q,"etag":"ignored"}`, reason)
	}
	for _, c := range []struct {
		name, method, path, body string
		header                   []string
		status                   int
		code                     string
	}{
		{"create over an existing id", "PUT", "/devices/dev1", body("0"), nil, 409, "DeviceAlreadyExists"},
		{"empty is absent", "PUT", "/devices/dev1", body("0"), []string{"If-Match: "}, 409, "DeviceAlreadyExists"},
		{"empty in quotes is absent", "PUT", "/devices/dev1", body("0"), []string{`If-Match: ""`}, 409, "DeviceAlreadyExists"},
		{"bare star", "PUT", "/devices/dev1", body("1"), []string{"If-Match: *"}, 200, ""},
		{"quoted star", "PUT", "/devices/dev1", body("2"), []string{`If-Match: "*"`}, 200, ""},
		{"stale", "PUT", "/devices/dev1", body("3"), []string{"If-Match: " + stale}, 412, "PreconditionFailed"},
		{"first tag is stale by now", "PUT", "/devices/dev1", body("3"), []string{`If-Match: "` + d.ETag + `"`}, 412, "PreconditionFailed"},
		{"unquoted tag", "PUT", "/devices/dev1", body("3"), []string{"If-Match: " + d.ETag}, 412, "PreconditionFailed"},
		{"update of nobody", "PUT", "/devices/nobody", `{"deviceId":"nobody"}`, []string{`If-Match: "*"`}, 404, "DeviceNotFound"},
		{"delete with a stale tag", "DELETE", "/devices/dev1", "", []string{"If-Match: " + stale}, 412, "PreconditionFailed"},
		{"delete without a tag", "DELETE", "/devices/dev1", "", nil, 204, ""},
		{"delete of nobody", "DELETE", "/devices/dev1", "", []string{"If-Match: *"}, 404, "DeviceNotFound"},
		{"create with empty quotes", "PUT", "/devices/dev1", body("4"), []string{`If-Match: ""`}, 200, ""},
	} {
		res := asAz(t, h, c.method, c.path, c.body, c.header...)
		if res.Status != c.status || res.Header.Get("Iothub-Errorcode") != c.code {
			t.Errorf("%s: status %d %q, want %d %q: %s", c.name, res.Status, res.Header.Get("Iothub-Errorcode"), c.status, c.code, res.Body)
		}
	}
}

// TestErrorShape checks body and headers of refusals, as every SDK decodes them.
func TestErrorShape(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{})
	h.AddDevice("dev1")
	owner := "Authorization: " + h.OwnerToken()
	tracking := regexp.MustCompile(`^Tracking ID:[0-9a-f]{32}-G:[^-]+-TimeStamp:\d\d/\d\d/\d{4} \d\d:\d\d:\d\d$`)
	long := strings.Repeat("x", 129)
	for _, c := range []struct {
		name, method, path, body string
		header                   []string
		status                   int
		code                     string
	}{
		{"unknown device", "GET", "/devices/nobody?api-version=2021-04-12", "", []string{owner}, 404, "DeviceNotFound"},
		{"no token", "GET", "/devices/dev1?api-version=2021-04-12", "", nil, 401, "IotHubUnauthorizedAccess"},
		{"not a token", "GET", "/devices/dev1?api-version=2021-04-12", "", []string{"Authorization: Bearer x"}, 401, "IotHubUnauthorizedAccess"},
		{"no api-version", "GET", "/devices/dev1", "", []string{owner}, 400, "InvalidProtocolVersion"},
		{"no date for api-version", "GET", "/devices/dev1?api-version=latest", "", []string{owner}, 400, "InvalidProtocolVersion"},
		{"bad JSON", "PUT", "/devices/dev2?api-version=2021-04-12", "{", []string{owner}, 400, "IotHubFormatError"},
		{"bad id", "PUT", "/devices/a%20b?api-version=2021-04-12", `{"deviceId":"a b"}`, []string{owner}, 400, "ArgumentInvalid"},
		{"id too long", "PUT", "/devices/" + long + "?api-version=2021-04-12", `{"deviceId":"` + long + `"}`, []string{owner}, 400, "ArgumentInvalid"},
		{"id differs", "PUT", "/devices/dev2?api-version=2021-04-12", `{"deviceId":"dev3"}`, []string{owner}, 400, "ArgumentInvalid"},
		{"bad key", "PUT", "/devices/dev2?api-version=2021-04-12", `{"deviceId":"dev2","authentication":{"symmetricKey":{"primaryKey":"short","secondaryKey":"short"}}}`, []string{owner}, 400, "ArgumentInvalid"},
		{"module of nobody", "GET", "/devices/dev1/modules/mod1?api-version=2021-04-12", "", []string{owner}, 404, "ModuleNotFound"},
	} {
		res := curl(t, h, c.method, c.path, c.body, c.header...)
		if res.Status != c.status || res.Header.Get("Iothub-Errorcode") != c.code {
			t.Errorf("%s: status %d %q, want %d %q: %s", c.name, res.Status, res.Header.Get("Iothub-Errorcode"), c.status, c.code, res.Body)
			continue
		}
		var body struct{ Message, ExceptionMessage *string }
		res.JSON(t, &body)
		if body.Message == nil || !strings.HasPrefix(*body.Message, "ErrorCode:"+c.code+";") || strings.HasSuffix(*body.Message, ";") {
			t.Errorf("%s: Message %v, want ErrorCode:%s;<text>", c.name, body.Message, c.code)
		}
		if body.ExceptionMessage == nil || !tracking.MatchString(*body.ExceptionMessage) {
			t.Errorf("%s: ExceptionMessage %v, want a tracking id", c.name, body.ExceptionMessage)
		}
	}
}

// TestAnyAPIVersion shows that the versions of all SDKs are answered.
func TestAnyAPIVersion(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{})
	h.AddDevice("dev1")
	for _, v := range []string{"2016-02-03", "2016-11-14", "2018-06-30", "2019-10-01", "2020-03-13", "2020-05-31-preview", "2020-09-30", "2021-04-12", azVersion} {
		if res := curl(t, h, "GET", "/devices/dev1?api-version="+v, "", "Authorization: "+h.OwnerToken()); res.Status != 200 {
			t.Errorf("api-version %s: status %d: %s", v, res.Status, res.Body)
		}
	}
	for _, path := range []string{"/devices/?top=5&api-version=" + azVersion, "/devices?top=0&api-version=" + azVersion, "/DEVICES/dev1?api-version=" + azVersion} {
		if res := curl(t, h, "GET", path, "", "Authorization: "+h.OwnerToken()); res.Status != 200 {
			t.Errorf("GET %s: status %d: %s", path, res.Status, res.Body)
		}
	}
}

// TestHTTPVersions shows that a client gets an answer whatever it asks for by ALPN.
func TestHTTPVersions(t *testing.T) {
	t.Parallel()
	rig.Need(t, "curl")
	h := rig.Start(t, rig.Options{})
	host, port, err := net.SplitHostPort(h.Run.HTTPS)
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"--http1.0", "--http1.1", "--http2", "--no-alpn"} {
		out := rig.Run(
			t, nil, "curl", "--silent", "--show-error", "--max-time", "20", "--cacert", h.CAFile, version,
			"--connect-to", rig.Host+":443:"+host+":"+port, "--header", "Authorization: "+h.OwnerToken(),
			"https://"+rig.Host+"/statistics/devices?api-version="+azVersion,
		).Must()
		if !bytes.Contains(out.Stdout, []byte("totalDeviceCount")) {
			t.Errorf("%s: %q", version, out.Stdout)
		}
	}
}

// serviceTokens are the ways in which service SDKs write a token for the hub.
func serviceTokens(key string) map[string]string {
	se := strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10)
	sig := url.QueryEscape(rig.Sign(rig.Host, key, se))
	upper := strings.ToUpper(rig.Host)
	return map[string]string{
		"csharp":           "SharedAccessSignature sr=" + rig.Host + "&sig=" + sig + "&se=" + se + "&skn=iothubowner",
		"node":             "SharedAccessSignature sr=" + rig.Host + "&sig=" + sig + "&skn=iothubowner&se=" + se,
		"docs":             "SharedAccessSignature sig=" + sig + "&se=" + se + "&skn=iothubowner&sr=" + rig.Host,
		"upper case host":  rig.Token(upper, key, "iothubowner"),
		"escaped dots":     rig.Token(strings.ReplaceAll(rig.Host, ".", "%2e"), key, "iothubowner"),
		"within the skew":  rig.TokenUntil(rig.Host, key, "iothubowner", time.Now().Add(-4*time.Minute)),
		"unescaped slash":  rig.Token(rig.Host+"/devices", key, "iothubowner"),
		"escaped slash":    rig.Token(rig.Host+"%2Fdevices", key, "iothubowner"),
		"exactly the path": rig.Token(rig.Host+"%2fdevices%2fdev1", key, "iothubowner"),
	}
}

// TestServiceTokens accepts the tokens of every service SDK and refuses what only looks
// like one.
func TestServiceTokens(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{})
	d := h.AddDevice("dev1")
	fields, err := rig.ParseConnectionString(h.PolicyString("iothubowner"))
	if err != nil {
		t.Fatal(err)
	}
	key := fields["SharedAccessKey"]
	for name, token := range serviceTokens(key) {
		if res := curl(t, h, "GET", "/devices/dev1?api-version="+azVersion, "", "Authorization: "+token); res.Status != 200 {
			t.Errorf("%s: status %d: %s", name, res.Status, res.Body)
		}
	}
	for name, token := range map[string]string{
		"another hub":         rig.Token("other.localtest", key, "iothubowner"),
		"half a segment":      rig.Token(rig.Host+"%2Fdev", key, "iothubowner"),
		"another device":      rig.Token(rig.Host+"%2Fdevices%2Fdev2", key, "iothubowner"),
		"past the skew":       rig.TokenUntil(rig.Host, key, "iothubowner", time.Now().Add(-6*time.Minute)),
		"unknown policy":      rig.Token(rig.Host, key, "nobody"),
		"wrong key":           rig.Token(rig.Host, d.Key(), "iothubowner"),
		"a device's own":      d.Token(),
		"signed other text":   strings.Replace(rig.Token(rig.Host, key, "iothubowner"), "sr="+rig.Host, "sr="+url.QueryEscape(rig.Host+"/"), 1),
		"sr stands twice":     rig.Token(rig.Host, key, "iothubowner") + "&sr=" + rig.Host,
		"policy without rest": rig.Token(rig.Host, fields["SharedAccessKey"], "device"),
	} {
		res := curl(t, h, "GET", "/devices/dev1?api-version="+azVersion, "", "Authorization: "+token)
		if res.Status != 401 || res.Header.Get("Iothub-Errorcode") != "IotHubUnauthorizedAccess" {
			t.Errorf("%s: status %d %q, want 401 IotHubUnauthorizedAccess", name, res.Status, res.Header.Get("Iothub-Errorcode"))
		}
	}
}
