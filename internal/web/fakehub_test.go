package web

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// fakeHub is a registry, a log and a gate in memory.
type fakeHub struct {
	mu       sync.Mutex
	devices  map[string]*iot.Device
	modules  map[iot.Identity]*iot.Module
	cas      map[string]iot.Authority
	counter  uint64
	sent     []sentMessage
	sendErr  error
	failures []string
	lines    []string
	grown    chan struct{} // closed and replaced when lines grow
	panics   bool
}

type sentMessage struct {
	Stamp iot.Stamp
	Raw   iot.Raw
}

func newFakeHub() *fakeHub {
	return &fakeHub{
		devices: map[string]*iot.Device{}, modules: map[iot.Identity]*iot.Module{}, cas: map[string]iot.Authority{},
		counter: 100, grown: make(chan struct{}),
	}
}

func (h *fakeHub) etag() string { h.counter++; return iot.IdentityETag(h.counter) }

// judge applies a precondition to what is there, "" for nothing.
func judge(m iot.Match, have string, missing, exists, mismatch error) error {
	switch {
	case m.Kind == iot.MatchCreate && have != "":
		return exists
	case m.Kind != iot.MatchCreate && have == "":
		return missing
	case m.Kind == iot.MatchETag && m.ETag != have:
		return mismatch
	}
	return nil
}

func noDevice(id string) error {
	return fault.New(fault.DeviceNotFound, "fake", "device '%s' is not registered", id)
}

func noModule(id iot.Identity) error {
	return fault.New(fault.ModuleNotFound, "fake", "module %s is not registered", id)
}

func (h *fakeHub) PutDevice(_ context.Context, id string, d iot.Device, m iot.Match) (iot.Device, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.panics {
		panic("the fake breaks")
	}
	if d.DeviceID != "" && d.DeviceID != id {
		return d, fault.New(fault.ArgumentInvalid, "fake", "deviceId of the body is not the path's")
	}
	have := ""
	if old := h.devices[id]; old != nil {
		have = old.ETag
	}
	err := judge(m, have, noDevice(id),
		fault.New(fault.DeviceAlreadyExists, "fake", "A device with ID '%s' is already registered.", id),
		fault.New(fault.PreconditionFailed, "fake", "ETag mismatch for device ID '%s'", id))
	if err != nil {
		return d, err
	}
	d.DeviceID, d.ETag, d.GenerationID, d.ConnectionState = id, h.etag(), "637345907161634714", iot.Disconnected
	if d.Status == "" {
		d.Status = iot.StatusEnabled
	}
	if p, _ := d.Authentication.Keys(); p == "" {
		d.Authentication = &iot.Authentication{
			SymmetricKey:   &iot.SymmetricKey{PrimaryKey: "cHJpbWFyeXByaW1hcnk=", SecondaryKey: "c2Vjb25kYXJ5c2Vjb25k"},
			X509Thumbprint: &iot.X509Thumbprint{}, Type: iot.AuthenticationSAS,
		}
	}
	if d.Capabilities == nil {
		d.Capabilities = &iot.Capabilities{}
	}
	h.devices[id] = &d
	return d, nil
}

func (h *fakeHub) GetDevice(_ context.Context, id string) (iot.Device, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if d := h.devices[id]; d != nil {
		return *d, nil
	}
	return iot.Device{}, noDevice(id)
}

func (h *fakeHub) DeleteDevice(_ context.Context, id string, m iot.Match) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	have := ""
	if old := h.devices[id]; old != nil {
		have = old.ETag
	}
	if err := judge(m, have, noDevice(id), nil, fault.New(fault.PreconditionFailed, "fake", "ETag mismatch for device ID '%s'", id)); err != nil {
		return err
	}
	delete(h.devices, id)
	return nil
}

func (h *fakeHub) ListDevices(_ context.Context, top int) ([]iot.Device, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []iot.Device
	for _, id := range slices.Sorted(mapKeys(h.devices)) {
		if len(list) < top {
			list = append(list, *h.devices[id])
		}
	}
	return list, nil
}

func mapKeys[K comparable, V any](m map[K]V) func(func(K) bool) {
	return func(yield func(K) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func (h *fakeHub) PutModule(_ context.Context, id iot.Identity, mod iot.Module, m iot.Match) (iot.Module, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.devices[id.Device] == nil {
		return mod, noDevice(id.Device)
	}
	have := ""
	if old := h.modules[id]; old != nil {
		have = old.ETag
	}
	err := judge(m, have, noModule(id),
		fault.New(fault.ModuleAlreadyExistsOnDevice, "fake", "A module with ID '%s' is already registered on device '%s'.", id.Module, id.Device),
		fault.New(fault.PreconditionFailed, "fake", "ETag mismatch for module ID '%s'", id.Module))
	if err != nil {
		return mod, err
	}
	mod.DeviceID, mod.ModuleID, mod.ETag, mod.ConnectionState = id.Device, id.Module, h.etag(), iot.Disconnected
	h.modules[id] = &mod
	return mod, nil
}

func (h *fakeHub) GetModule(_ context.Context, id iot.Identity) (iot.Module, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.devices[id.Device] == nil {
		return iot.Module{}, noDevice(id.Device)
	}
	if m := h.modules[id]; m != nil {
		return *m, nil
	}
	return iot.Module{}, noModule(id)
}

func (h *fakeHub) DeleteModule(ctx context.Context, id iot.Identity, m iot.Match) error {
	mod, err := h.GetModule(ctx, id)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !m.Holds(mod.ETag) {
		return fault.New(fault.PreconditionFailed, "fake", "ETag mismatch for module ID '%s'", id.Module)
	}
	delete(h.modules, id)
	return nil
}

func (h *fakeHub) ListModules(_ context.Context, dev string) ([]iot.Module, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.devices[dev] == nil {
		return nil, noDevice(dev)
	}
	var list []iot.Module
	for id, m := range h.modules {
		if id.Device == dev {
			list = append(list, *m)
		}
	}
	return list, nil
}

func (h *fakeHub) Bulk(ctx context.Context, items []iot.BulkItem) (iot.BulkResult, error) {
	res := iot.BulkResult{IsSuccessful: true}
	for _, item := range items {
		var err error
		switch item.ImportMode {
		case iot.ImportDelete, iot.ImportDeleteIfMatch:
			err = h.DeleteDevice(ctx, item.ID, iot.Match{Kind: iot.MatchAny})
		default:
			_, err = h.PutDevice(ctx, item.ID, iot.Device{Authentication: item.Authentication}, iot.Match{})
		}
		if err != nil {
			res.IsSuccessful = false
			res.Errors = append(res.Errors, iot.BulkError{
				DeviceID: item.ID, ErrorCode: int(fault.Of(err)), ErrorStatus: fault.Detail(err), Operation: string(item.ImportMode),
			})
		}
	}
	return res, nil
}

func (h *fakeHub) RegenerateKeys(ctx context.Context, k iot.KeyRegeneration) (iot.KeyRegenerationResult, error) {
	res := iot.KeyRegenerationResult{PolicyKey: k.PolicyKey}
	for _, t := range k.Devices {
		if _, err := h.GetDevice(ctx, t.ID); err != nil {
			res.Errors = append(res.Errors, iot.KeyError{ID: t.ID, ErrorCode: int(fault.Of(err)), ErrorStatus: fault.Detail(err)})
			continue
		}
		res.RotatedKeys = append(res.RotatedKeys, iot.RotatedKey{ID: t.ID, PrimaryKey: "bmV3", SecondaryKey: "b2xk"})
	}
	return res, nil
}

func (h *fakeHub) Statistics(context.Context) (iot.DeviceStatistics, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := int64(len(h.devices))
	return iot.DeviceStatistics{TotalDeviceCount: n, EnabledDeviceCount: n}, nil
}

func (h *fakeHub) Twin(ctx context.Context, id iot.Identity) (iot.Twin, error) {
	d, err := h.GetDevice(ctx, id.Device)
	if err == nil && id.IsModule() {
		_, err = h.GetModule(ctx, id)
	}
	if err != nil {
		return iot.Twin{}, err
	}
	return iot.Twin{
		DeviceID: id.Device, ModuleID: id.Module, ETag: iot.TwinETag(1), DeviceETag: d.ETag, Status: d.Status, Version: 2,
		Properties: iot.TwinProperties{Desired: iot.EmptySection(time.Time{}), Reported: iot.EmptySection(time.Time{})},
	}, nil
}

func (h *fakeHub) ListCAs(context.Context) ([]iot.Authority, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []iot.Authority
	for _, name := range slices.Sorted(mapKeys(h.cas)) {
		list = append(list, h.cas[name])
	}
	return list, nil
}

func (h *fakeHub) PutCA(_ context.Context, name string, certificate []byte, verified bool, m iot.Match) (iot.Authority, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if old, ok := h.cas[name]; ok && !m.Holds(old.ETag) {
		return old, fault.New(fault.GenericConflict, "fake", "a certificate authority named '%s' is registered already", name)
	}
	a := iot.Authority{Name: name, Certificate: string(certificate), IsVerified: verified, ETag: h.etag()}
	if !a.IsVerified {
		a.VerificationCode = "C0DE"
	}
	h.cas[name] = a
	return a, nil
}

func (h *fakeHub) changeCA(name string, f func(*iot.Authority)) (iot.Authority, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	a, ok := h.cas[name]
	if !ok {
		return a, fault.New(fault.CertificateNotFound, "fake", "no certificate authority is named '%s'", name)
	}
	f(&a)
	h.cas[name] = a
	return a, nil
}

func (h *fakeHub) NewVerificationCode(_ context.Context, name string) (iot.Authority, error) {
	return h.changeCA(name, func(a *iot.Authority) { a.VerificationCode = "C0DE2" })
}

func (h *fakeHub) VerifyCA(_ context.Context, name string, certificate []byte) (iot.Authority, error) {
	a, err := h.changeCA(name, func(a *iot.Authority) {
		if string(certificate) == a.VerificationCode {
			a.IsVerified, a.VerificationCode = true, ""
		}
	})
	if err == nil && !a.IsVerified {
		err = fault.New(fault.ArgumentInvalid, "fake", "the certificate's common name is not the verification code")
	}
	return a, err
}

func (h *fakeHub) DeleteCA(_ context.Context, name string, m iot.Match) error {
	a, err := h.changeCA(name, func(*iot.Authority) {})
	if err == nil && !m.Holds(a.ETag) {
		return fault.New(fault.PreconditionFailed, "fake", "ETag mismatch for certificate authority '%s'", name)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.cas, name)
	return err
}

func isHub(host string) bool { return strings.EqualFold(host, hubHost) }

func (h *fakeHub) Authorize(text, host, path string, need iot.Right) (string, error) {
	refuse := func(why string) (string, error) {
		return "", fault.New(fault.IotHubUnauthorizedAccess, "fake", "%s", why)
	}
	if text == "" {
		return refuse("no Authorization header was sent")
	}
	sas, err := iot.ParseSAS(text)
	if err != nil || !isHub(host) {
		return refuse("no token for this hub")
	}
	for _, p := range policies() {
		switch {
		case p.Name != sas.Policy:
		case !sas.Verify(p.Primary) && !sas.Verify(p.Secondary) || !sas.Covers(isHub, path) || sas.Expired(noon, 5*time.Minute):
			return refuse("the token is not good for this")
		case !p.Rights.Has(need):
			return refuse(fmt.Sprintf("the shared access policy '%s' lacks the right %s", p.Name, need))
		default:
			return p.Name, nil
		}
	}
	return refuse("no such policy")
}

func (h *fakeHub) AuthorizeDevice(_ context.Context, id iot.Identity, host, path string, cred device.Credential) (device.Proof, error) {
	stamp := iot.Stamp{Identity: id, Generation: 7}
	if cred.SAS == "" && len(cred.Certificates) > 0 && cred.Certificates[0].Subject.CommonName == id.String() {
		stamp.Auth = iot.AuthX509Certificate
		return device.Proof{Stamp: stamp}, nil
	}
	if id.Device == "disabled" {
		return device.Proof{}, fault.New(fault.DeviceDisabled, "fake", "device 'disabled' is disabled")
	}
	sas, err := iot.ParseSAS(cred.SAS)
	if err == nil && sas.Policy == "" && isHub(host) && sas.Verify([]byte(id.String())) && sas.Covers(isHub, path) {
		return device.Proof{Stamp: stamp}, nil
	}
	return device.Proof{}, fault.New(fault.IotHubUnauthorizedAccess, "fake", "the token's signature does not match")
}

// deviceToken signs with the fake's key of a device: its name.
func deviceToken(id iot.Identity) string {
	resource := hubHost + "/devices/" + id.Device
	if id.IsModule() {
		resource += "/modules/" + id.Module
	}
	return iot.SignSAS(resource, "", []byte(id.String()), noon.Add(time.Hour))
}

func (h *fakeHub) Send(_ context.Context, stamp iot.Stamp, raw iot.Raw) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sendErr != nil {
		return h.sendErr
	}
	h.sent = append(h.sent, sentMessage{stamp, iot.Raw{Source: raw.Source, Props: slices.Clone(raw.Props), Body: slices.Clone(raw.Body)}})
	return nil
}

func (h *fakeHub) IdentityError(operation string, id iot.Identity, _ netip.AddrPort, err error, _ time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failures = append(h.failures, fmt.Sprintf("%s %s %d", operation, id, fault.Of(err)))
}

func (h *fakeHub) TelemetryError(id iot.Identity, transport device.Transport, size int, err error, _ time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failures = append(h.failures, fmt.Sprintf("ingress %s %s %d %d", id, transport, size, fault.Of(err)))
}

// log adds lines to the fake's resource log.
func (h *fakeHub) log(lines ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = append(h.lines, lines...)
	close(h.grown)
	h.grown = make(chan struct{})
}

func (h *fakeHub) Read(ctx context.Context, q iot.LogQuery, give func([]byte) error) error {
	for at := 0; ; {
		h.mu.Lock()
		more, grown := slices.Clone(h.lines[at:]), h.grown
		h.mu.Unlock()
		at += len(more)
		for _, line := range more {
			if !strings.Contains(line, q.Device) {
				continue
			}
			if err := give([]byte(line)); err != nil {
				return err
			}
		}
		switch {
		case len(more) > 0:
		case !q.Follow:
			return nil
		default:
			select {
			case <-grown:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
}
