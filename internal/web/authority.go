package web

import (
	"net/http"
	"slices"
	"strings"

	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// authorityBody is what a client sends of a certificate authority.
type authorityBody struct {
	Certificate string `json:"certificate"` // PEM, or base64 of DER
	IsVerified  bool   `json:"isVerified"`  // the caller vouches for the certificate: no proof of possession
}

// listAuthorities answers GET /berth/v1/cas.
func (s *Server) listAuthorities(c *call) error {
	ctx, cancel := c.within(callTimeout)
	defer cancel()
	list, err := s.cfg.Authorities.ListCAs(ctx)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, orEmpty(list))
}

// getAuthority answers GET /berth/v1/cas/{name}.
func (s *Server) getAuthority(c *call) error {
	ctx, cancel := c.within(callTimeout)
	defer cancel()
	list, err := s.cfg.Authorities.ListCAs(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(list, func(a iot.Authority) bool { return a.Name == c.match.name })
	if i < 0 {
		return fault.New(fault.CertificateNotFound, "web.ca", "no certificate authority is named '%s'", c.match.name)
	}
	return c.answer(http.StatusOK, list[i])
}

// putAuthority answers PUT /berth/v1/cas/{name}. Unless the caller vouches for the
// certificate, the answer holds the verification code of a proof of possession.
func (s *Server) putAuthority(c *call) error {
	m, err := c.ifMatch()
	if err != nil {
		return err
	}
	b, err := c.certificate()
	if err != nil {
		return err
	}
	ctx, cancel := c.within(callTimeout)
	defer cancel()
	a, err := s.cfg.Authorities.PutCA(ctx, c.match.name, []byte(b.Certificate), b.IsVerified, m)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, a)
}

// deleteAuthority answers DELETE /berth/v1/cas/{name}; devices that came with its
// certificates are disconnected.
func (s *Server) deleteAuthority(c *call) error {
	m, err := c.ifMatch()
	if err != nil {
		return err
	}
	ctx, cancel := c.within(callTimeout)
	defer cancel()
	if err := s.cfg.Authorities.DeleteCA(ctx, c.match.name, m.ForDelete()); err != nil {
		return err
	}
	return c.nothing()
}

// verificationCode answers POST /berth/v1/cas/{name}/verification-code.
func (s *Server) verificationCode(c *call) error {
	ctx, cancel := c.within(callTimeout)
	defer cancel()
	a, err := s.cfg.Authorities.NewVerificationCode(ctx, c.match.name)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, a)
}

// verifyAuthority answers POST /berth/v1/cas/{name}/verify, whose body holds a
// certificate that the authority signed, with the verification code as its CN.
func (s *Server) verifyAuthority(c *call) error {
	b, err := c.certificate()
	if err != nil {
		return err
	}
	ctx, cancel := c.within(callTimeout)
	defer cancel()
	a, err := s.cfg.Authorities.VerifyCA(ctx, c.match.name, []byte(b.Certificate))
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, a)
}

// certificate reads a body that must hold one.
func (c *call) certificate() (authorityBody, error) {
	var b authorityBody
	if err := c.decode(maxAuthority, &b); err != nil {
		return b, err
	}
	if strings.TrimSpace(b.Certificate) == "" {
		return b, fault.New(fault.ArgumentNull, "web.ca", "the body needs a certificate, as PEM or base64 of DER")
	}
	return b, nil
}
