package park

// setHighest sets from which descriptor on connections leave them to others.
func setHighest(l *Lot, n int) (was int) {
	e := l.system.(*epoll)
	was, e.highest = e.highest, n
	return was
}
