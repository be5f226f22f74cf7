package reslog

import (
	"bytes"
	"log/slog"
	"time"
)

// write is the writer: it owns the file until Close.
func (l *Log) write() {
	defer l.ring.end()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	company := time.NewTimer(gatherFor)
	company.Stop()
	wake := l.queue.wake // nil while company is awaited
	for {
		select {
		case <-wake:
			wake = nil
			company.Reset(gatherFor)
		case <-company.C:
			wake = l.queue.wake
			l.drain()
		case <-tick.C:
			l.reportExcess()
			l.restore()
		case reply := <-l.ask:
			l.drain()
			reply <- l.snapshot()
		case <-l.quit:
			l.queue.close()
			l.reportExcess()
			l.drain()
			if !l.restore() {
				l.log.Error("records of the resource log are lost", slog.String("op", "reslog.write"), slog.Int("lost", l.failed))
			}
			return
		}
	}
}

// reportExcess writes how many errors were not written because there were too many.
func (l *Log) reportExcess() {
	var items []item
	for category, n := range l.queue.excess() {
		items = append(items, missing(l.now(), n, category, "more errors than are written; the first ones of each second are"))
	}
	l.emit(items)
}

// drain writes all that waits.
func (l *Log) drain() {
	items, lost := l.queue.take()
	if lost > 0 {
		items = append(items, missing(l.now(), lost, "", "records came faster than they could be written"))
	}
	l.emit(items)
	l.queue.recycle(items)
}

// emit writes records to the file, a bounded number of bytes at a time, and gives them
// to those who follow.
func (l *Log) emit(items []item) {
	flush := func() {
		if len(l.lines) > 0 {
			l.put(l.chunk, len(l.lines))
			l.ring.add(l.lines)
			clear(l.lines)
		}
		l.chunk, l.lines = l.chunk[:0], l.lines[:0]
	}
	for i := range items {
		line, err := l.enc.line(&items[i], l.resource)
		if err != nil {
			l.log.Error("a record of the resource log could not be encoded", slog.String("op", "reslog.write"), slog.Any("err", err))
			continue
		}
		if len(l.chunk)+len(line) > maxWrite {
			flush()
		}
		l.chunk = append(l.chunk, line...)
		l.lines = append(l.lines, tailed{key: keyOf(&items[i]), line: bytes.Clone(line)})
	}
	flush()
	if cap(l.chunk) > keptWrite {
		l.chunk, l.lines = nil, nil // the burst that needed them is over
	}
}

// put writes one chunk of n whole lines to the file and standard output.
func (l *Log) put(chunk []byte, n int) {
	if !l.restore() {
		l.failed += n // behind a torn line it would be lost without a word
	} else if written, err := l.file.Write(chunk); err != nil {
		l.log.Error("the resource log cannot be written; records are lost until it can",
			slog.String("op", "reslog.write"), slog.Any("err", err))
		l.failed = n - bytes.Count(chunk[:written], []byte{'\n'})
	}
	if l.stdout != nil {
		if _, err := l.stdout.Write(chunk); err != nil {
			l.log.Warn("the resource log could not be written to standard output, and no more of it will be",
				slog.String("op", "reslog.write"), slog.Any("err", err))
			l.stdout = nil
		}
	}
}

// restore tries to say how many records the file did not take, if there are any, and
// reports whether the file takes records.
func (l *Log) restore() bool {
	if l.failed == 0 {
		return true
	}
	it := missing(l.now(), l.failed, "", "the file could not be written")
	var enc encoder
	line, err := enc.line(&it, l.resource)
	if err != nil {
		return false
	}
	// A torn line may stand before it: the newline ends that one.
	if _, err := l.file.Write(append([]byte{'\n'}, line...)); err != nil {
		return false
	}
	l.log.Info("the resource log can be written again", slog.Int("lost", l.failed))
	l.failed = 0
	return true
}
