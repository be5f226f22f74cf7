package web

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// explain answers GET /berth/v1/devices/{id}/explain, and the same of a module: what
// happened between the clients of an identity, and why. An identity without a conflict
// is answered with the verdict "none", one that is not registered with 404.
func (s *Server) explain(c *call) error {
	if s.cfg.Diagnosis == nil {
		return notDiagnosed()
	}
	at, err := parseExplainQuery(c.query)
	if err != nil {
		return err
	}
	ctx, cancel := c.within(callTimeout)
	defer cancel()
	if c.match.id.IsModule() {
		_, err = s.cfg.Identities.GetModule(ctx, c.match.id)
	} else {
		_, err = s.cfg.Identities.GetDevice(ctx, c.match.id.Device)
	}
	if err != nil {
		return err
	}
	e, err := s.cfg.Diagnosis.Explain(ctx, c.match.id, at)
	if err != nil {
		return err
	}
	if !c.seesAddresses() {
		e = e.Masked()
	}
	return c.answer(http.StatusOK, e)
}

// parseExplainQuery reads the parameter of an explanation: at, the time it is as of;
// zero: now.
func parseExplainQuery(q url.Values) (at time.Time, err error) {
	for _, name := range slices.Sorted(maps.Keys(q)) {
		switch name {
		case "at":
			at, err = instant(name, q.Get(name))
		case "api-version":
		default:
			err = unknown(name, "at")
		}
		if err != nil {
			return at, err
		}
	}
	return at, nil
}

// seesAddresses reports whether the caller's policy holds every right, as iothubowner
// does: everybody else is shown addresses masked (architecture 6).
func (c *call) seesAddresses() bool {
	_, err := c.s.cfg.Gate.Authorize(c.r.Header.Get("Authorization"), c.host(), c.match.path, iot.AllRights)
	return err == nil
}

// notDiagnosed answers where the operator has switched diagnosis off.
func notDiagnosed() error {
	return fault.New(fault.GenericNotImplemented, "web.diagnosis",
		"this hub explains nothing: its configuration says [diagnosis] enabled = false")
}
