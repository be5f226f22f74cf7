// Package bench is the load generator behind "berth bench": it registers, connects,
// publishes, reads and takes over, against Berth or any MQTT 3.1.1 server, over AMQP 1.0
// against Berth alone, and says what it measured in a form that can be compared between
// runs.
//
// Its one invariant: what it counts as acknowledged was acknowledged by the server
// within the measured window. It is closed-loop, bounded in connections, messages
// and time, and cheap: one goroutine per connection, one write per batch, nothing
// allocated per message. It refuses to simulate devices that misbehave.
package bench
