package amqpwire

// The error conditions of the standard, as an Error carries them.
const (
	// AMQP 2.8.15: any scope.
	CondInternalError         = "amqp:internal-error"
	CondNotFound              = "amqp:not-found"
	CondUnauthorizedAccess    = "amqp:unauthorized-access"
	CondDecodeError           = "amqp:decode-error"
	CondResourceLimitExceeded = "amqp:resource-limit-exceeded"
	CondNotAllowed            = "amqp:not-allowed"
	CondInvalidField          = "amqp:invalid-field"
	CondNotImplemented        = "amqp:not-implemented"
	CondResourceLocked        = "amqp:resource-locked"
	CondPreconditionFailed    = "amqp:precondition-failed"
	CondResourceDeleted       = "amqp:resource-deleted"
	CondIllegalState          = "amqp:illegal-state"
	CondFrameSizeTooSmall     = "amqp:frame-size-too-small"

	// AMQP 2.8.16: the connection.
	CondConnectionForced   = "amqp:connection:forced"
	CondFramingError       = "amqp:connection:framing-error"
	CondConnectionRedirect = "amqp:connection:redirect"

	// AMQP 2.8.17: the session.
	CondWindowViolation  = "amqp:session:window-violation"
	CondErrantLink       = "amqp:session:errant-link"
	CondHandleInUse      = "amqp:session:handle-in-use"
	CondUnattachedHandle = "amqp:session:unattached-handle"

	// AMQP 2.8.18: the link.
	CondDetachForced          = "amqp:link:detach-forced"
	CondTransferLimitExceeded = "amqp:link:transfer-limit-exceeded"
	CondMessageSizeExceeded   = "amqp:link:message-size-exceeded"
	CondLinkRedirect          = "amqp:link:redirect"
	CondStolen                = "amqp:link:stolen"
)
