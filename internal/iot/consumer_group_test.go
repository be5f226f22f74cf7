package iot

import (
	"strings"
	"testing"
)

func TestConsumerGroupNames(t *testing.T) {
	for _, name := range []string{"$Default", "$default", "a", "my-group_1.x", strings.Repeat("a", 50)} {
		if !ValidConsumerGroup(name) {
			t.Errorf("%q is refused", name)
		}
	}
	for _, name := range []string{"", "$other", "-a", "a-", ".", "a b", "a/b", "é", strings.Repeat("a", 51)} {
		if ValidConsumerGroup(name) {
			t.Errorf("%q is accepted", name)
		}
	}
}
