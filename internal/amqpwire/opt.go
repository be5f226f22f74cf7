package amqpwire

// Opt is a field that the standard lets be absent, where that means something else than
// any value of it.
type Opt[T comparable] struct {
	V   T
	Set bool
}

// Some is a field that is there.
func Some[T comparable](v T) Opt[T] { return Opt[T]{v, true} }

// Or gives the field's value, or that of an absent one.
func (o Opt[T]) Or(absent T) T {
	if o.Set {
		return o.V
	}
	return absent
}
