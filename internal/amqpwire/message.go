package amqpwire

// Message is an encoded message cut into its sections, everything borrowed. A section
// stands here whole, with its descriptor; what is absent is nil.
type Message struct {
	Header                []byte
	DeliveryAnnotations   []byte
	MessageAnnotations    []byte
	Properties            []byte
	ApplicationProperties []byte
	Body                  []byte // all sections of the body
	Footer                []byte
	Bare                  []byte // properties, application-properties and body (AMQP 3.2)
	BodyCode              Code   // CodeData, CodeSequence, CodeValue; 0 if there is no body
	BodySections          int    // how many: at most 1 with CodeValue
}
