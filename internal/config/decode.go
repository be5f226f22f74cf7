package config

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/berth-iot/berth/internal/file"
)

// Load reads a configuration file over the defaults and checks it. The error joins
// a *SettingError for each thing that is wrong.
func Load(name string) (Config, error) {
	text, err := file.Read(name)
	if err != nil {
		return Config{}, fmt.Errorf("the configuration cannot be read: %w", err)
	}
	return Decode(name, string(text))
}

// Decode reads the text of a configuration file over the defaults and checks it;
// name is what mistakes call the file.
func Decode(name, text string) (Config, error) {
	c := Default()
	meta, err := toml.Decode(text, &c)
	if err != nil {
		return Config{}, decodeMistake(name, err)
	}
	var wrong []error
	for _, key := range meta.Undecoded() {
		if hidden(key, meta.Undecoded()) {
			continue
		}
		wrong = append(wrong, unknownKey(name, text, key))
	}
	for _, err := range c.Check() {
		if m, ok := errors.AsType[*SettingError](err); ok {
			m.File, m.Line = name, lineOf(text, m.Key)
		}
		wrong = append(wrong, err)
	}
	if len(wrong) > 0 {
		return Config{}, errors.Join(wrong...)
	}
	return c, nil
}

// String writes the configuration as the TOML that gives it.
func (c Config) String() string {
	var b strings.Builder
	enc := toml.NewEncoder(&b)
	enc.Indent = ""
	if err := enc.Encode(c); err != nil { // every field is text, number, boolean or list
		return "# " + err.Error() + "\n"
	}
	return b.String()
}

// hidden reports whether key stands in a table that is itself unknown, which is
// mistake enough.
func hidden(key toml.Key, unknown []toml.Key) bool {
	for _, k := range unknown {
		if len(k) < len(key) && strings.HasPrefix(key.String(), k.String()+".") {
			return true
		}
	}
	return false
}

// unknownKey says that a key is no setting, and which was probably meant.
func unknownKey(name, text string, key toml.Key) *SettingError {
	m := &SettingError{File: name, Line: lineOf(text, key.String()), Key: key.String(), Text: "there is no such setting"}
	if near := nearest(key.String(), settings()); near != "" {
		m.Text += "; did you mean " + near + "?"
	}
	return m
}

// settings lists the names of all settings and tables.
func settings() []string {
	var names []string
	var walk func(prefix string, t reflect.Type)
	walk = func(prefix string, t reflect.Type) {
		for f := range t.Fields() {
			name := prefix + f.Tag.Get("toml")
			names = append(names, name)
			if f.Type.Kind() == reflect.Struct {
				walk(name+".", f.Type)
			}
		}
	}
	walk("", reflect.TypeFor[Config]())
	return names
}

// decodeMistake puts what the TOML library says into our words.
func decodeMistake(name string, err error) *SettingError {
	if p, ok := errors.AsType[toml.ParseError](err); ok {
		m := &SettingError{File: name, Line: p.Position.Line, Text: p.Message}
		if slices.Contains(settings(), p.LastKey) {
			m.Key = p.LastKey
		}
		return m
	}
	types := regexp.MustCompile(`^toml: line (\d+) \(last key "([^"]+)"\): incompatible types: TOML value has type (.+); destination has type (.+)$`)
	if got := types.FindStringSubmatch(err.Error()); got != nil {
		line, _ := strconv.Atoi(got[1])
		return &SettingError{File: name, Line: line, Key: got[2], Text: fmt.Sprintf("it must be %s, not %s", typeName(got[4]), typeName(got[3]))}
	}
	tables := regexp.MustCompile(`^toml: line (\d+) \(last key "([^"]+)"\): type mismatch for .*: expected table but found (.+)$`)
	if got := tables.FindStringSubmatch(err.Error()); got != nil {
		line, _ := strconv.Atoi(got[1])
		return &SettingError{File: name, Line: line, Key: got[2], Text: fmt.Sprintf("it must be a table of settings, not %s", typeName(got[3]))}
	}
	return &SettingError{File: name, Text: strings.TrimPrefix(err.Error(), "toml: ")}
}

// typeName puts the name of a TOML or Go type into words.
func typeName(t string) string {
	switch t {
	case "integer", "int", "int64":
		return "a whole number"
	case "float", "float64":
		return "a number with a fraction"
	case "string":
		return "text in quotes"
	case "boolean", "bool":
		return "true or false"
	case "slice", "array", "[]any":
		return "a list in brackets"
	case "map", "table", "map[string]any":
		return "a table of settings"
	case "[]map[string]any":
		return "a list of tables"
	}
	return "a value of type " + t
}
