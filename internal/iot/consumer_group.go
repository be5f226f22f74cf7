package iot

import "strings"

// DefaultConsumerGroup is the consumer group that every hub has and that cannot be
// removed; clients spell it in any letter case.
const DefaultConsumerGroup = "$Default"

// MaxConsumerGroups is how many consumer groups a hub has, the default one included
// (Azure: 20 on most tiers).
const MaxConsumerGroups = 64

// ConsumerGroup is one view of the events by which several readers tell themselves apart.
// The hub keeps no place for it: readers do.
type ConsumerGroup struct {
	Name    string `json:"name"`
	Created Moment `json:"created"`
}

// ValidConsumerGroup reports whether s may name a consumer group: 1 to 50 letters,
// digits, '.', '-' and '_', the first and the last a letter or digit; or the default one.
func ValidConsumerGroup(s string) bool {
	if strings.EqualFold(s, DefaultConsumerGroup) {
		return true
	}
	if len(s) == 0 || len(s) > 50 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case (c == '.' || c == '-' || c == '_') && i > 0 && i < len(s)-1:
		default:
			return false
		}
	}
	return true
}
