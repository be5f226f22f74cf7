package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// versionCmd is "berth version".
type versionCmd struct {
	jsonFlag
}

// build is what the binary says of itself.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// thisBuild reads what the Go linker wrote into the binary.
func thisBuild() build {
	b := build{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if info.Main.Version != "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

// String gives one line.
func (b build) String() string {
	s := "berth " + b.Version
	if b.Revision != "" {
		s += fmt.Sprintf(" (%.12s)", b.Revision)
	}
	return s + " " + b.Go + " " + b.Platform
}

// Run prints the version.
func (c *versionCmd) Run(con *console) error {
	if c.JSON {
		return con.json(thisBuild())
	}
	return con.line("%s", thisBuild())
}
