package amqp

import (
	"strconv"

	"github.com/berth-iot/berth/internal/amqpwire"
)

// redirect refuses a link to /messages/events…, where clients that hold the hub's own
// connection string ask for the event endpoint, and says where that is: here, under the
// hub's name (amqp 7).
func (c *conn) redirect(at *attachment) *amqpwire.Error {
	if err := c.serves(at); err != nil {
		return err
	}
	host, port, rest := c.host, c.server.cfg.Port, at.address.rest
	if rest == "" {
		rest = "/" // the Go client of amenzhinsky/iothub takes what is before the last letter
	}
	return &amqpwire.Error{
		Condition:   amqpwire.CondLinkRedirect,
		Description: "the Event Hubs-compatible endpoint is at the address in the info",
		Info: amqpwire.Map(
			amqpwire.Symbol("hostname"), amqpwire.String(host),
			amqpwire.Symbol("network-host"), amqpwire.String(host),
			amqpwire.Symbol("port"), amqpwire.Int(int32(port)),
			amqpwire.Symbol("address"), amqpwire.String("amqps://"+host+":"+strconv.Itoa(port)+"/"+c.server.cfg.Hosts.Hub()+rest),
		),
	}
}
