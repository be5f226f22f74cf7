package config

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/berth-iot/berth/internal/file"
)

// readJSON reads a JSON file of the data folder. It quotes nothing of the file: it
// may hold keys.
func readJSON(path string, v any) error {
	text, err := file.Read(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, v); err != nil {
		if at, ok := errors.AsType[*json.SyntaxError](err); ok {
			return fmt.Errorf("%s: no valid JSON at byte %d", path, at.Offset)
		}
		return fmt.Errorf("%s: not the JSON of such a file", path)
	}
	return nil
}

// writeJSON replaces a JSON file of the data folder; only its owner can read it.
func writeJSON(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return file.Replace(path, append(text, '\n'), 0o600)
}
