package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Check says what is wrong with a configuration, wherever its values came from:
// a *SettingError for each, in the order of the settings.
func (c Config) Check() []error {
	var k checker
	if c.Data == "" {
		k.wrong("data", "name a folder for what the hub keeps")
	}
	k.hosts(c.Hosts)
	k.binds(c.Bind)
	k.ports(c)
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		k.wrong("tls", "a certificate of one's own needs both: cert and key")
	}
	k.duration("sas.clock_skew", c.SAS.ClockSkew, 0, maxClockSkew)
	k.duration("sas.expiry_grace", c.SAS.ExpiryGrace, 0, maxExpiryGrace)
	k.number("telemetry.partitions", c.Telemetry.Partitions, minPartitions, maxPartitions)
	k.duration("telemetry.retention_age", c.Telemetry.RetentionAge, minRetentionAge, maxRetentionAge)
	if c.Telemetry.RetentionBytes < minRetentionBytes || c.Telemetry.RetentionBytes > maxRetentionBytes {
		k.wrong("telemetry.retention_bytes", "it must be from %s to %s", Size(minRetentionBytes), Size(maxRetentionBytes))
	}
	k.c2d(c.C2D)
	if c.ResourceLog.MaxSize < minLogFile || c.ResourceLog.MaxSize > maxLogFile {
		k.wrong("resource_log.max_size", "it must be from %s to %s", Size(minLogFile), Size(maxLogFile))
	}
	k.number("resource_log.max_backups", c.ResourceLog.MaxBackups, 0, maxLogBackups)
	if age := c.ResourceLog.MaxAge; age != 0 {
		k.duration("resource_log.max_age", age, 24*time.Hour, maxRetentionAge)
	}
	k.number("limits.unauthenticated_per_address", c.Limits.UnauthenticatedPerAddress, 1, maxUnauthenticated)
	k.number("limits.unauthenticated", c.Limits.Unauthenticated, minUnauthenticated, maxUnauthenticated)
	k.duration("limits.goodbye_spread", c.Limits.GoodbyeSpread, 0, maxGoodbyeSpread)
	k.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	k.oneOf("log.format", c.Log.Format, "text", "json")
	return k.found
}

// c2d checks the settings of cloud-to-device messages (service-rest E).
func (k *checker) c2d(c C2D) {
	k.duration("c2d.default_ttl", c.DefaultTTL, minTTL, maxTTL)
	k.number("c2d.max_delivery_count", c.MaxDeliveryCount, 1, maxDeliveries)
	k.duration("c2d.feedback_batch", c.FeedbackBatch, minFeedbackBatch, maxFeedbackBatch)
	k.duration("c2d.feedback_ttl", c.FeedbackTTL, minTTL, maxTTL)
	k.duration("c2d.feedback_lock", c.FeedbackLock, minFeedbackLock, maxFeedbackLock)
	k.number("c2d.feedback_deliveries", c.FeedbackDeliveries, 1, maxDeliveries)
}

// checker gathers mistakes.
type checker struct{ found []error }

func (k *checker) wrong(key, format string, args ...any) {
	k.found = append(k.found, &SettingError{Key: key, Text: fmt.Sprintf(format, args...)})
}

func (k *checker) number(key string, v, least, most int) {
	if v < least || v > most {
		k.wrong(key, "it is %d and must be from %d to %d", v, least, most)
	}
}

func (k *checker) duration(key string, v Duration, least, most time.Duration) {
	if v.Std() < least || v.Std() > most {
		k.wrong(key, "it is %s and must be from %s to %s", v, Duration(least), Duration(most))
	}
}

func (k *checker) oneOf(key, v string, values ...string) {
	if !slices.Contains(values, v) {
		k.wrong(key, "it is %q and must be one of %s", v, strings.Join(values, ", "))
	}
}

// hosts checks the names clients dial.
func (k *checker) hosts(names []string) {
	if len(names) == 0 || len(names) > maxHosts {
		k.wrong("hosts", "name 1 to %d hosts; the first is the HostName of connection strings", maxHosts)
		return
	}
	for _, name := range names {
		switch {
		case strings.Contains(name, "://"):
			k.wrong("hosts", "%q is a URL; write the host name alone", name)
		case strings.Contains(name, ":") && !isAddr(name):
			k.wrong("hosts", "%q holds a port; write the host name alone and set mqtt_port or https_port", name)
		case !isAddr(name) && !hostName(name):
			k.wrong("hosts", "%q is not a host name: letters, digits and '-' in labels joined by '.'", name)
		}
	}
}

// binds checks the addresses to listen at.
func (k *checker) binds(addrs []string) {
	if len(addrs) > maxBinds {
		k.wrong("bind", "there are more than %d addresses", maxBinds)
		return
	}
	for i, text := range addrs {
		addr, err := netip.ParseAddr(text)
		switch {
		case err != nil:
			k.wrong("bind", "%q is not an IP address; write one of this machine's, or \"0.0.0.0\" for all", text)
		case slices.Contains(addrs[:i], text):
			k.wrong("bind", "%q stands twice", text)
		case addr.IsUnspecified() && len(addrs) > 1:
			k.wrong("bind", "%q means all addresses and must stand alone", text)
		}
	}
}

// ports checks that each port can exist and that no two are the same.
func (k *checker) ports(c Config) {
	ports := []struct {
		key  string
		port int
	}{{"mqtt_port", c.MQTTPort}, {"amqp_port", c.AMQPPort}, {"https_port", c.HTTPSPort}, {"ops_port", c.OpsPort}}
	for i, p := range ports {
		if p.port < 0 || p.port > maxPort {
			k.wrong(p.key, "it is %d and must be from 1 to %d, or 0 for a free one", p.port, maxPort)
			continue
		}
		for _, q := range ports[:i] {
			if p.port != 0 && p.port == q.port {
				k.wrong(p.key, "it is %d, like %s; each needs a port of its own", p.port, q.key)
			}
		}
	}
}

func isAddr(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

// hostName reports whether s is a DNS name: at most 253 characters in labels of 1 to
// 63 letters, digits and '-'. An underscore is let through: people name machines so.
func hostName(s string) bool {
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "-") != label || strings.ContainsFunc(label, notInLabel) {
			return false
		}
	}
	return true
}

func notInLabel(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
}
