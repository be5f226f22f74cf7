package iot

// propSet gathers properties in order, each name once, in time linear in their
// number whatever a peer sends: beyond indexFrom it keeps an index.
type propSet struct {
	list  Properties
	index map[string]int
}

// indexFrom is how many properties are searched one by one before an index pays.
const indexFrom = 12

// set replaces or appends p.
func (s *propSet) set(p Property) {
	if s.index == nil && len(s.list) < indexFrom {
		s.list.Set(p)
		return
	}
	if s.index == nil {
		s.index = make(map[string]int, 2*indexFrom)
		for i := range s.list {
			s.index[s.list[i].Name] = i
		}
	}
	if i, ok := s.index[p.Name]; ok {
		s.list[i] = p
		return
	}
	s.index[p.Name] = len(s.list)
	s.list = append(s.list, p)
}
