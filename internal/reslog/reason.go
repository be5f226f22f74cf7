package reslog

import "github.com/berth-iot/berth/internal/fault"

// hasPage reports whether Azure documents a code's cause and resolution under
// aka.ms/iothub followed by the code.
func hasPage(code fault.Code) bool {
	switch code {
	case fault.ConnectionForcefullyClosedOnNewConnection, fault.IotHubUnauthorized, fault.IotHubQuotaExceeded,
		fault.DeviceMaximumQueueDepthExceeded, fault.DeviceNotFound, fault.DeviceNotOnline, fault.DeviceConnectionClosedRemotely,
		fault.DeviceAlreadyExists, fault.LinkCreationConflict, fault.DeviceMessageLockLost, fault.ThrottlingException,
		fault.ServerError, fault.GenericTimeout, fault.PartitionNotFound, fault.GatewayTimeout:
		return true
	default:
		return false
	}
}

// message is errorMessage: what happened, and either the page that explains it or, if
// Azure has none, the reason itself.
func message(what string, code fault.Code, reason string) string {
	switch {
	case code == 0:
		return ""
	case hasPage(code):
		return what + ", see cause and resolution at https://aka.ms/iothub" + code.String()[:6]
	case reason == "":
		return what
	}
	return what + ": " + reason
}
