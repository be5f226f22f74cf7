package config

import "strings"

// lineOf finds the line of a key in a TOML text, counted from 1; 0 if it is not
// written there plainly. It knows tables, keys and dotted keys, as people write
// configuration, and not inline tables.
func lineOf(text, key string) int {
	table, line := "", 0
	for s := range strings.SplitSeq(text, "\n") {
		line++
		s = strings.TrimSpace(s)
		if strings.HasPrefix(s, "[") {
			name, _, _ := strings.Cut(strings.Trim(s, "["), "]")
			table = plainKey(name)
			if table == key {
				return line
			}
			table += "."
			continue
		}
		if name, _, ok := strings.Cut(s, "="); ok && table+plainKey(name) == key {
			return line
		}
	}
	return 0
}

// plainKey is a key without the spaces and quotes that TOML permits.
func plainKey(s string) string {
	parts := strings.Split(s, ".")
	for i := range parts {
		parts[i] = strings.Trim(strings.TrimSpace(parts[i]), `"'`)
	}
	return strings.Join(parts, ".")
}

// maxSuggestKey is the longest key, in bytes, for which a suggestion is sought.
const maxSuggestKey = 64

// nearest gives the candidate that a mistyped key is likeliest to mean, or "": at
// most a third of its letters differ, or its last part names just one setting.
func nearest(key string, candidates []string) string {
	if len(key) > maxSuggestKey {
		return ""
	}
	best, bestDistance := "", len(key)/3+1
	for _, c := range candidates {
		if d := distance(key, c); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	if best != "" {
		return best
	}
	last := "." + key[strings.LastIndexByte(key, '.')+1:]
	for _, c := range candidates {
		if strings.HasSuffix("."+c, last) {
			if best != "" {
				return ""
			}
			best = c
		}
	}
	return best
}

// distance counts the letters to add, drop or change to make b of a (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
