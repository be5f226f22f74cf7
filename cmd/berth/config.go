package main

import (
	"errors"
	"strings"

	"github.com/berth-iot/berth/internal/config"
)

// configCmd is "berth config".
type configCmd struct {
	Check configCheckCmd `cmd:"" help:"Check a configuration file; every mistake is named."`
	Print configPrintCmd `cmd:"" help:"Print every setting with its value, as a configuration file."`
}

// configFlags name the file.
type configFlags struct {
	Config string `env:"BERTH_CONFIG" type:"path" placeholder:"FILE" help:"Configuration file (TOML); without it, the defaults."`
}

// load reads and checks the file, or gives the defaults.
func (f configFlags) load() (config.Config, error) {
	if f.Config == "" {
		return config.Default(), nil
	}
	return config.Load(f.Config)
}

// configCheckCmd is "berth config check".
type configCheckCmd struct {
	configFlags
	jsonFlag
}

// Run says what is wrong, if anything is.
func (c *configCheckCmd) Run(con *console) error {
	_, err := c.load()
	if c.JSON {
		return errors.Join(con.json(checked{OK: err == nil, Mistakes: sentences(err)}), err)
	}
	if err != nil {
		return err
	}
	return con.line("ok")
}

// checked answers a check.
type checked struct {
	OK       bool     `json:"ok"`
	Mistakes []string `json:"mistakes"`
}

// sentences takes joined errors apart.
func sentences(err error) []string {
	if err == nil {
		return []string{}
	}
	many, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []string{err.Error()}
	}
	var all []string
	for _, e := range many.Unwrap() {
		all = append(all, e.Error())
	}
	return all
}

// configPrintCmd is "berth config print".
type configPrintCmd struct {
	configFlags
}

// Run prints the settings that hold.
func (c *configPrintCmd) Run(con *console) error {
	settings, err := c.load()
	if err != nil {
		return err
	}
	return con.line("%s", strings.TrimSuffix(settings.String(), "\n"))
}
