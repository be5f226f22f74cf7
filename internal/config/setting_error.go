package config

import "strconv"

// SettingError is one thing wrong with a configuration, in words that say what to do.
type SettingError struct {
	File string // empty if the value came from elsewhere
	Line int    // 0 unknown
	Key  string // "telemetry.partitions"; empty if the file as a whole is wrong
	Text string
}

// Error gives "berth.toml:3: telemetry.partitions: …".
func (m *SettingError) Error() string {
	s := ""
	if m.File != "" {
		s = m.File
		if m.Line > 0 {
			s += ":" + strconv.Itoa(m.Line)
		}
		s += ": "
	}
	if m.Key != "" {
		s += m.Key + ": "
	}
	return s + m.Text
}
