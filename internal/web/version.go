package web

import (
	"net/url"
	"strings"
	"time"

	"github.com/berth-iot/berth/internal/fault"
)

// checkVersion holds a service request to an api-version of the form
// YYYY-MM-DD[-preview], 2016-02-03 or later (service-rest A.3).
func checkVersion(query url.Values) error {
	v := query.Get("api-version")
	day, suffix := v, ""
	if len(v) > len(minAPIVersion) {
		day, suffix = v[:len(minAPIVersion)], v[len(minAPIVersion):]
	}
	_, err := time.Parse(time.DateOnly, day)
	if err != nil || day < minAPIVersion || suffix != "" && !strings.EqualFold(suffix, "-preview") {
		return fault.New(fault.InvalidProtocolVersion, "web.version",
			"BadRequest: the query has no api-version like 2021-04-12, of %s or later", minAPIVersion)
	}
	return nil
}
