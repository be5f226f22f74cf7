package device

import "fmt"

// StateName names the state of the connection ("established", "fin-wait-1" …), or
// gives its number if it has no name.
func (t TCP) StateName() string {
	names := [...]string{
		1: "established", 2: "syn-sent", 3: "syn-received", 4: "fin-wait-1", 5: "fin-wait-2", 6: "time-wait", 7: "closed",
		8: "close-wait", 9: "last-ack", 10: "listen", 11: "closing",
	}
	if int(t.State) < len(names) && names[t.State] != "" {
		return names[t.State]
	}
	return fmt.Sprintf("state %d", t.State)
}
