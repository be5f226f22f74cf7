package presence

import "context"

// turn is the right to be at work on something that takes a while. It is not a mutex:
// whoever has it may call others that lock, and whoever waits for it can give up.
// Those who wait get it first come, first served.
type turn chan struct{}

// newTurn makes a turn that nobody has.
func newTurn() turn {
	t := make(turn, 1)
	t <- struct{}{}
	return t
}

// take waits for the turn.
func (t turn) take(ctx context.Context) error {
	select {
	case <-t:
		return nil
	default:
	}
	select {
	case <-t:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// tryTake takes the turn if nobody has it.
func (t turn) tryTake() bool {
	select {
	case <-t:
		return true
	default:
		return false
	}
}

// give hands the turn on.
func (t turn) give() { t <- struct{}{} }
