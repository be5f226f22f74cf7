package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// Restart measures how long a server needs from its start to the first device that it
// accepts. Every round starts it, connects a device chosen at random, reads the
// server's memory and kills it: nobody says goodbye, so each start finds what a crash
// leaves behind.
type Restart struct {
	Devices int // registered in what the server keeps; one of them connects
	Rounds  int
	Start   func(ctx context.Context) (Instance, error)
	// Unsettle changes something in the running server before it is killed, so that the
	// next start has a journal to read; nil: nothing is changed. It is not measured.
	Unsettle func(ctx context.Context) error
}

// Instance is one start of a server.
type Instance interface {
	// Target is where the server takes devices, nil while it does not say.
	Target() (*Target, error)
	// PID is the server's process; 0: do not measure its use.
	PID() int
	// Kill ends the server at once and returns when it is gone.
	Kill() error
}

func (s Restart) check() error {
	if s.Start == nil {
		return errors.New("a restart run needs a way to start the server")
	}
	return errors.Join(check("devices", s.Devices, 1, MaxDevices), check("rounds", s.Rounds, 1, MaxRounds))
}

// Run starts the server Rounds times and reports. A start that does not end with an
// accepted device within a minute ends the run.
func (s Restart) Run(ctx context.Context) (*Report, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	var (
		spent meter
		use   Usage
		cpu   time.Duration
	)
	r := &Report{Run: "restart", TLS: true, Started: time.Now().UTC(), Devices: s.Devices}
	for range s.Rounds {
		one, err := s.round(ctx, &spent)
		if err != nil {
			return nil, err
		}
		r.Target = one.target
		cpu += one.use.cpu
		use.ResidentBytes = max(use.ResidentBytes, one.use.resident)
		r.Done++
	}
	use.MicrosPerOp = round(float64(cpu.Microseconds())/float64(r.Done), 100)
	length := time.Since(r.Started)
	r.Server, r.Latency = &use, spent.summary()
	r.Seconds = round(length.Seconds(), 1000)
	r.PerSecond = round(float64(r.Done)/length.Seconds(), 10)
	return r, nil
}

// started is one round.
type started struct {
	target string
	use    sample // when the first device was accepted
}

// round starts the server, waits for the first device, and kills it.
func (s Restart) round(ctx context.Context, spent *meter) (one started, err error) {
	timed, cancel := context.WithTimeoutCause(ctx, startWait,
		fmt.Errorf("no device was accepted within %s of the start", startWait))
	defer cancel()
	from := time.Now()
	server, err := s.Start(ctx)
	if err != nil {
		return one, err
	}
	defer func() { err = errors.Join(err, server.Kill()) }()
	target, err := settled(timed, server)
	if err != nil {
		return one, err
	}
	c, err := target.connect(timed, rand.IntN(s.Devices), unstamped) //nolint:gosec // any device will do
	if err != nil {
		return one, err
	}
	spent.of(0).record(time.Since(from))
	one.target = target.Address
	if pid := server.PID(); pid != 0 {
		one.use, err = read(pid)
	}
	if err == nil && s.Unsettle != nil {
		err = s.Unsettle(ctx)
	}
	return one, errors.Join(err, c.Close())
}

// settled waits until the server says where it takes devices.
func settled(ctx context.Context, server Instance) (*Target, error) {
	look := time.NewTicker(askEvery)
	defer look.Stop()
	for {
		if t, err := server.Target(); t != nil || err != nil {
			return t, err
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
