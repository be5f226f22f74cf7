package fault

// The codes of Azure IoT Hub, named as Azure names them, and Berth's own
// (GenericNotImplemented).
const (
	GenericBadRequest                               Code = 400000
	InvalidProtocolVersion                          Code = 400001
	DeviceInvalidResultCount                        Code = 400002
	InvalidOperation                                Code = 400003
	ArgumentInvalid                                 Code = 400004
	ArgumentNull                                    Code = 400005
	IotHubFormatError                               Code = 400006
	DeviceStorageEntitySerializationError           Code = 400007
	BlobContainerValidationError                    Code = 400008
	ImportWarningExistsError                        Code = 400009
	InvalidSchemaVersion                            Code = 400010
	DeviceDefinedMultipleTimes                      Code = 400011
	DeserializationError                            Code = 400012
	BulkRegistryOperationFailure                    Code = 400013
	DefaultStorageEndpointNotConfigured             Code = 400014
	InvalidFileUploadCorrelationID                  Code = 400015
	ExpiredFileUploadCorrelationID                  Code = 400016
	InvalidStorageEndpoint                          Code = 400017
	InvalidMessagingEndpoint                        Code = 400018
	InvalidFileUploadCompletionStatus               Code = 400019
	InvalidStorageEndpointOrBlob                    Code = 400020
	RequestCanceled                                 Code = 400021
	InvalidStorageEndpointProperty                  Code = 400022
	EtagDoesNotMatch                                Code = 400023
	RequestTimedOut                                 Code = 400024
	UnsupportedOperationOnReplica                   Code = 400025
	NullMessage                                     Code = 400026
	ConnectionForcefullyClosedOnNewConnection       Code = 400027
	InvalidDeviceScope                              Code = 400028
	ConnectionForcefullyClosedOnFaultInjection      Code = 400029
	ConnectionRejectedOnFaultInjection              Code = 400030
	InvalidEndpointAuthenticationType               Code = 400031
	ManagedIdentityNotEnabled                       Code = 400032
	EnforceDeviceHISCompliantKey                    Code = 400033
	EnforceModuleHISCompliantKey                    Code = 400034
	InvalidPolicyKey                                Code = 400035
	BulkRegenerateDeviceKeyOperationFailure         Code = 400036
	InvalidRouteTestInput                           Code = 400100
	InvalidSourceOnRoute                            Code = 400101
	RoutingNotEnabled                               Code = 400102
	InvalidContentEncodingOrType                    Code = 400103
	CannotRegisterModuleToModule                    Code = 400301
	TenantHubRoutingNotEnabled                      Code = 400302
	InvalidConfigurationTargetCondition             Code = 400401
	InvalidConfigurationContent                     Code = 400402
	CannotModifyImmutableConfigurationContent       Code = 400403
	InvalidConfigurationCustomMetricsQuery          Code = 400404
	InvalidPnPInterfaceDefinition                   Code = 400501
	InvalidPnPDesiredProperties                     Code = 400502
	InvalidPnPReportedProperties                    Code = 400503
	InvalidPnPWritableReportedProperties            Code = 400504
	InvalidDigitalTwinJSONPatch                     Code = 400505
	InvalidDigitalTwinPayload                       Code = 400506
	InvalidDigitalTwinPatch                         Code = 400507
	InvalidDigitalTwinPatchPath                     Code = 400508
	GenericUnauthorized                             Code = 401000
	IotHubNotFound                                  Code = 401001
	IotHubUnauthorizedAccess                        Code = 401002
	IotHubUnauthorized                              Code = 401003
	ElasticPoolNotFound                             Code = 401004
	SystemModuleModifyUnauthorizedAccess            Code = 401100
	GenericForbidden                                Code = 403000
	IotHubSuspended                                 Code = 403001
	IotHubQuotaExceeded                             Code = 403002
	JobQuotaExceeded                                Code = 403003
	DeviceMaximumQueueDepthExceeded                 Code = 403004
	IotHubMaxCbsTokenExceeded                       Code = 403005
	DeviceMaximumActiveFileUploadLimitExceeded      Code = 403006
	DeviceMaximumQueueSizeExceeded                  Code = 403007
	RoutingEndpointResponseForbidden                Code = 403008
	InvalidMessageExpiryTime                        Code = 403009
	OperationNotAvailableInCurrentTier              Code = 403010
	KeyEncryptionKeyRevoked                         Code = 403011
	DeviceDisabled                                  Code = 403012
	DeviceModelMaxPropertiesExceeded                Code = 403100
	DeviceModelMaxIndexablePropertiesExceeded       Code = 403101
	DeviceMaximumInflightMethodExceeded             Code = 403800
	GenericNotFound                                 Code = 404000
	DeviceNotFound                                  Code = 404001
	JobNotFound                                     Code = 404002
	QuotaMetricNotFound                             Code = 404004
	SystemPropertyNotFound                          Code = 404005
	AmqpAddressNotFound                             Code = 404006
	RoutingEndpointResponseNotFound                 Code = 404007
	CertificateNotFound                             Code = 404008
	ElasticPoolTenantHubNotFound                    Code = 404009
	ModuleNotFound                                  Code = 404010
	AzureTableStoreNotFound                         Code = 404011
	IotHubFailingOver                               Code = 404012
	FeatureNotSupported                             Code = 404013
	DigitalTwinInterfaceNotFound                    Code = 404014
	QueryStoreClusterNotFound                       Code = 404101
	DeviceNotOnline                                 Code = 404103
	DeviceConnectionClosedRemotely                  Code = 404104
	ConfigurationNotFound                           Code = 404301
	GroupNotFound                                   Code = 404302
	DigitalTwinModelNotFound                        Code = 404401
	InterfaceNameModelNotFound                      Code = 404402
	GenericMethodNotAllowed                         Code = 405000
	OperationNotAllowedInCurrentState               Code = 405102
	ImportDevicesNotSupported                       Code = 405103
	BulkAddDevicesNotSupported                      Code = 405104
	GenericConflict                                 Code = 409000
	DeviceAlreadyExists                             Code = 409001
	LinkCreationConflict                            Code = 409002
	CallbackSubscriptionConflict                    Code = 409003
	ModelAlreadyExists                              Code = 409101
	DeviceLocked                                    Code = 409102
	DeviceJobAlreadyExists                          Code = 409103
	JobAlreadyExists                                Code = 409104
	ModuleAlreadyExistsOnDevice                     Code = 409301
	ConfigurationAlreadyExists                      Code = 409401
	ApplyConfigurationAlreadyInProgressOnDevice     Code = 409402
	DigitalTwinModelAlreadyExists                   Code = 409501
	DigitalTwinModelExistsWithOtherModelType        Code = 409502
	InterfaceNameModelAlreadyExists                 Code = 409503
	GenericPreconditionFailed                       Code = 412000
	PreconditionFailed                              Code = 412001
	DeviceMessageLockLost                           Code = 412002
	JobRunPreconditionFailed                        Code = 412003
	InflightMessagesInLink                          Code = 412004
	GenericRequestEntityTooLarge                    Code = 413000
	MessageTooLarge                                 Code = 413001
	TooManyDevices                                  Code = 413002
	TooManyModulesOnDevice                          Code = 413003
	ConfigurationCountLimitExceeded                 Code = 413101
	DigitalTwinModelCountLimitExceeded              Code = 413201
	InterfaceNameCompressionModelCountLimitExceeded Code = 413202
	GenericUnsupportedMediaType                     Code = 415000
	IncompatibleDataType                            Code = 415101
	GenericTooManyRequests                          Code = 429000
	ThrottlingException                             Code = 429001
	ThrottleBacklogLimitExceeded                    Code = 429002
	ThrottlingBacklogTimeout                        Code = 429003
	ThrottlingMaxActiveJobCountExceeded             Code = 429004
	DeviceThrottlingLimitExceeded                   Code = 429005
	ClientClosedRequest                             Code = 499000
	GenericServerError                              Code = 500000
	ServerError                                     Code = 500001
	JobCancelled                                    Code = 500002
	StatisticsRetrievalError                        Code = 500003
	ConnectionForcefullyClosed                      Code = 500004
	InvalidBlobState                                Code = 500005
	BackupTimedOut                                  Code = 500006
	AzureStorageTimeout                             Code = 500007
	GenericTimeout                                  Code = 500008
	InvalidThrottleParameter                        Code = 500009
	EventHubLinkAlreadyClosed                       Code = 500010
	GenericNotImplemented                           Code = 501000
	GenericBadGateway                               Code = 502000
	GenericServiceUnavailable                       Code = 503000
	ServiceUnavailable                              Code = 503001
	PartitionNotFound                               Code = 503003
	IotHubActivationFailed                          Code = 503004
	ServerBusy                                      Code = 503005
	IotHubRestoring                                 Code = 503006
	ReceiveLinkOpensThrottled                       Code = 503008
	ConnectionUnavailable                           Code = 503101
	DeviceUnavailable                               Code = 503102
	ConfigurationNotAvailable                       Code = 503201
	GroupNotAvailable                               Code = 503202
	HostingServiceNotAvailable                      Code = 503301
	GenericGatewayTimeout                           Code = 504000
	GatewayTimeout                                  Code = 504101
)

type entry struct {
	name      string
	scope     Scope
	condition string
	connack   byte
}

// table is every code at every edge. docs/errors.md is generated from it.
var table = map[Code]entry{ //nolint:gochecknoglobals // a table, never written
	GenericBadRequest:                               {"GenericBadRequest", ScopeOperation, "amqp:invalid-field", 5},
	InvalidProtocolVersion:                          {"InvalidProtocolVersion", ScopeOperation, "amqp:invalid-field", 5},
	DeviceInvalidResultCount:                        {"DeviceInvalidResultCount", ScopeOperation, "amqp:invalid-field", 5},
	InvalidOperation:                                {"InvalidOperation", ScopeOperation, "amqp:invalid-field", 5},
	ArgumentInvalid:                                 {"ArgumentInvalid", ScopeOperation, "com.microsoft:argument-error", 5},
	ArgumentNull:                                    {"ArgumentNull", ScopeOperation, "com.microsoft:argument-error", 5},
	IotHubFormatError:                               {"IotHubFormatError", ScopeOperation, "amqp:decode-error", 5},
	DeviceStorageEntitySerializationError:           {"DeviceStorageEntitySerializationError", ScopeOperation, "amqp:invalid-field", 5},
	BlobContainerValidationError:                    {"BlobContainerValidationError", ScopeOperation, "amqp:invalid-field", 5},
	ImportWarningExistsError:                        {"ImportWarningExistsError", ScopeOperation, "amqp:invalid-field", 5},
	InvalidSchemaVersion:                            {"InvalidSchemaVersion", ScopeOperation, "amqp:invalid-field", 5},
	DeviceDefinedMultipleTimes:                      {"DeviceDefinedMultipleTimes", ScopeOperation, "amqp:invalid-field", 5},
	DeserializationError:                            {"DeserializationError", ScopeOperation, "amqp:decode-error", 5},
	BulkRegistryOperationFailure:                    {"BulkRegistryOperationFailure", ScopeOperation, "amqp:invalid-field", 5},
	DefaultStorageEndpointNotConfigured:             {"DefaultStorageEndpointNotConfigured", ScopeOperation, "amqp:invalid-field", 5},
	InvalidFileUploadCorrelationID:                  {"InvalidFileUploadCorrelationId", ScopeOperation, "amqp:invalid-field", 5},
	ExpiredFileUploadCorrelationID:                  {"ExpiredFileUploadCorrelationId", ScopeOperation, "amqp:invalid-field", 5},
	InvalidStorageEndpoint:                          {"InvalidStorageEndpoint", ScopeOperation, "amqp:invalid-field", 5},
	InvalidMessagingEndpoint:                        {"InvalidMessagingEndpoint", ScopeOperation, "amqp:invalid-field", 5},
	InvalidFileUploadCompletionStatus:               {"InvalidFileUploadCompletionStatus", ScopeOperation, "amqp:invalid-field", 5},
	InvalidStorageEndpointOrBlob:                    {"InvalidStorageEndpointOrBlob", ScopeOperation, "amqp:invalid-field", 5},
	RequestCanceled:                                 {"RequestCanceled", ScopeOperation, "amqp:invalid-field", 5},
	InvalidStorageEndpointProperty:                  {"InvalidStorageEndpointProperty", ScopeOperation, "amqp:invalid-field", 5},
	EtagDoesNotMatch:                                {"EtagDoesNotMatch", ScopeOperation, "amqp:invalid-field", 5},
	RequestTimedOut:                                 {"RequestTimedOut", ScopeOperation, "com.microsoft:timeout", 3},
	UnsupportedOperationOnReplica:                   {"UnsupportedOperationOnReplica", ScopeOperation, "amqp:invalid-field", 5},
	NullMessage:                                     {"NullMessage", ScopeOperation, "amqp:invalid-field", 5},
	ConnectionForcefullyClosedOnNewConnection:       {"ConnectionForcefullyClosedOnNewConnection", ScopeConnection, "amqp:internal-error", 3}, // displaced before it was answered: it may come again
	InvalidDeviceScope:                              {"InvalidDeviceScope", ScopeOperation, "amqp:invalid-field", 5},
	ConnectionForcefullyClosedOnFaultInjection:      {"ConnectionForcefullyClosedOnFaultInjection", ScopeConnection, "amqp:invalid-field", 3},
	ConnectionRejectedOnFaultInjection:              {"ConnectionRejectedOnFaultInjection", ScopeConnection, "amqp:invalid-field", 3},
	InvalidEndpointAuthenticationType:               {"InvalidEndpointAuthenticationType", ScopeOperation, "amqp:invalid-field", 5},
	ManagedIdentityNotEnabled:                       {"ManagedIdentityNotEnabled", ScopeOperation, "amqp:invalid-field", 5},
	EnforceDeviceHISCompliantKey:                    {"EnforceDeviceHISCompliantKey", ScopeOperation, "amqp:invalid-field", 5},
	EnforceModuleHISCompliantKey:                    {"EnforceModuleHISCompliantKey", ScopeOperation, "amqp:invalid-field", 5},
	InvalidPolicyKey:                                {"InvalidPolicyKey", ScopeOperation, "amqp:invalid-field", 5},
	BulkRegenerateDeviceKeyOperationFailure:         {"BulkRegenerateDeviceKeyOperationFailure", ScopeOperation, "amqp:invalid-field", 5},
	InvalidRouteTestInput:                           {"InvalidRouteTestInput", ScopeOperation, "amqp:invalid-field", 5},
	InvalidSourceOnRoute:                            {"InvalidSourceOnRoute", ScopeOperation, "amqp:invalid-field", 5},
	RoutingNotEnabled:                               {"RoutingNotEnabled", ScopeOperation, "amqp:invalid-field", 5},
	InvalidContentEncodingOrType:                    {"InvalidContentEncodingOrType", ScopeOperation, "amqp:invalid-field", 5},
	CannotRegisterModuleToModule:                    {"CannotRegisterModuleToModule", ScopeOperation, "amqp:invalid-field", 5},
	TenantHubRoutingNotEnabled:                      {"TenantHubRoutingNotEnabled", ScopeOperation, "amqp:invalid-field", 5},
	InvalidConfigurationTargetCondition:             {"InvalidConfigurationTargetCondition", ScopeOperation, "amqp:invalid-field", 5},
	InvalidConfigurationContent:                     {"InvalidConfigurationContent", ScopeOperation, "amqp:invalid-field", 5},
	CannotModifyImmutableConfigurationContent:       {"CannotModifyImmutableConfigurationContent", ScopeOperation, "amqp:invalid-field", 5},
	InvalidConfigurationCustomMetricsQuery:          {"InvalidConfigurationCustomMetricsQuery", ScopeOperation, "amqp:invalid-field", 5},
	InvalidPnPInterfaceDefinition:                   {"InvalidPnPInterfaceDefinition", ScopeOperation, "amqp:invalid-field", 5},
	InvalidPnPDesiredProperties:                     {"InvalidPnPDesiredProperties", ScopeOperation, "amqp:invalid-field", 5},
	InvalidPnPReportedProperties:                    {"InvalidPnPReportedProperties", ScopeOperation, "amqp:invalid-field", 5},
	InvalidPnPWritableReportedProperties:            {"InvalidPnPWritableReportedProperties", ScopeOperation, "amqp:invalid-field", 5},
	InvalidDigitalTwinJSONPatch:                     {"InvalidDigitalTwinJsonPatch", ScopeOperation, "amqp:invalid-field", 5},
	InvalidDigitalTwinPayload:                       {"InvalidDigitalTwinPayload", ScopeOperation, "amqp:invalid-field", 5},
	InvalidDigitalTwinPatch:                         {"InvalidDigitalTwinPatch", ScopeOperation, "amqp:invalid-field", 5},
	InvalidDigitalTwinPatchPath:                     {"InvalidDigitalTwinPatchPath", ScopeOperation, "amqp:invalid-field", 5},
	GenericUnauthorized:                             {"GenericUnauthorized", ScopeOperation, "amqp:unauthorized-access", 5},
	IotHubNotFound:                                  {"IotHubNotFound", ScopeOperation, "amqp:unauthorized-access", 5},
	IotHubUnauthorizedAccess:                        {"IotHubUnauthorizedAccess", ScopeOperation, "amqp:unauthorized-access", 5},
	IotHubUnauthorized:                              {"IotHubUnauthorized", ScopeConnection, "amqp:unauthorized-access", 5},
	ElasticPoolNotFound:                             {"ElasticPoolNotFound", ScopeOperation, "amqp:unauthorized-access", 5},
	SystemModuleModifyUnauthorizedAccess:            {"SystemModuleModifyUnauthorizedAccess", ScopeOperation, "amqp:unauthorized-access", 5},
	GenericForbidden:                                {"GenericForbidden", ScopeOperation, "amqp:not-allowed", 5},
	IotHubSuspended:                                 {"IotHubSuspended", ScopeOperation, "amqp:not-allowed", 5},
	IotHubQuotaExceeded:                             {"IotHubQuotaExceeded", ScopeOperation, "com.microsoft:quota-exceeded", 5},
	JobQuotaExceeded:                                {"JobQuotaExceeded", ScopeOperation, "amqp:not-allowed", 5},
	DeviceMaximumQueueDepthExceeded:                 {"DeviceMaximumQueueDepthExceeded", ScopeLink, "amqp:resource-limit-exceeded", 5},
	IotHubMaxCbsTokenExceeded:                       {"IotHubMaxCbsTokenExceeded", ScopeLink, "amqp:resource-limit-exceeded", 5},
	DeviceMaximumActiveFileUploadLimitExceeded:      {"DeviceMaximumActiveFileUploadLimitExceeded", ScopeOperation, "amqp:resource-limit-exceeded", 5},
	DeviceMaximumQueueSizeExceeded:                  {"DeviceMaximumQueueSizeExceeded", ScopeOperation, "amqp:resource-limit-exceeded", 5},
	RoutingEndpointResponseForbidden:                {"RoutingEndpointResponseForbidden", ScopeOperation, "amqp:not-allowed", 5},
	InvalidMessageExpiryTime:                        {"InvalidMessageExpiryTime", ScopeOperation, "amqp:not-allowed", 5},
	OperationNotAvailableInCurrentTier:              {"OperationNotAvailableInCurrentTier", ScopeOperation, "amqp:not-allowed", 5},
	KeyEncryptionKeyRevoked:                         {"KeyEncryptionKeyRevoked", ScopeOperation, "amqp:not-allowed", 5},
	DeviceDisabled:                                  {"DeviceDisabled", ScopeConnection, "amqp:unauthorized-access", 5},
	DeviceModelMaxPropertiesExceeded:                {"DeviceModelMaxPropertiesExceeded", ScopeOperation, "amqp:not-allowed", 5},
	DeviceModelMaxIndexablePropertiesExceeded:       {"DeviceModelMaxIndexablePropertiesExceeded", ScopeOperation, "amqp:not-allowed", 5},
	DeviceMaximumInflightMethodExceeded:             {"DeviceMaximumInflightMethodExceeded", ScopeOperation, "amqp:not-allowed", 5},
	GenericNotFound:                                 {"GenericNotFound", ScopeOperation, "amqp:not-found", 5},
	DeviceNotFound:                                  {"DeviceNotFound", ScopeLink, "amqp:not-found", 5},
	JobNotFound:                                     {"JobNotFound", ScopeOperation, "amqp:not-found", 5},
	QuotaMetricNotFound:                             {"QuotaMetricNotFound", ScopeOperation, "amqp:not-found", 5},
	SystemPropertyNotFound:                          {"SystemPropertyNotFound", ScopeOperation, "amqp:not-found", 5},
	AmqpAddressNotFound:                             {"AmqpAddressNotFound", ScopeLink, "amqp:not-found", 5},
	RoutingEndpointResponseNotFound:                 {"RoutingEndpointResponseNotFound", ScopeOperation, "amqp:not-found", 5},
	CertificateNotFound:                             {"CertificateNotFound", ScopeOperation, "amqp:not-found", 5},
	ElasticPoolTenantHubNotFound:                    {"ElasticPoolTenantHubNotFound", ScopeOperation, "amqp:not-found", 5},
	ModuleNotFound:                                  {"ModuleNotFound", ScopeLink, "amqp:not-found", 5},
	AzureTableStoreNotFound:                         {"AzureTableStoreNotFound", ScopeOperation, "amqp:not-found", 5},
	IotHubFailingOver:                               {"IotHubFailingOver", ScopeOperation, "amqp:not-found", 5},
	FeatureNotSupported:                             {"FeatureNotSupported", ScopeOperation, "amqp:not-found", 5},
	DigitalTwinInterfaceNotFound:                    {"DigitalTwinInterfaceNotFound", ScopeOperation, "amqp:not-found", 5},
	QueryStoreClusterNotFound:                       {"QueryStoreClusterNotFound", ScopeOperation, "amqp:not-found", 5},
	DeviceNotOnline:                                 {"DeviceNotOnline", ScopeOperation, "amqp:not-found", 5},
	DeviceConnectionClosedRemotely:                  {"DeviceConnectionClosedRemotely", ScopeConnection, "amqp:connection:forced", 5},
	ConfigurationNotFound:                           {"ConfigurationNotFound", ScopeOperation, "amqp:not-found", 5},
	GroupNotFound:                                   {"GroupNotFound", ScopeOperation, "amqp:not-found", 5},
	DigitalTwinModelNotFound:                        {"DigitalTwinModelNotFound", ScopeOperation, "amqp:not-found", 5},
	InterfaceNameModelNotFound:                      {"InterfaceNameModelNotFound", ScopeOperation, "amqp:not-found", 5},
	GenericMethodNotAllowed:                         {"GenericMethodNotAllowed", ScopeOperation, "amqp:not-allowed", 5},
	OperationNotAllowedInCurrentState:               {"OperationNotAllowedInCurrentState", ScopeOperation, "amqp:not-allowed", 5},
	ImportDevicesNotSupported:                       {"ImportDevicesNotSupported", ScopeOperation, "amqp:not-allowed", 5},
	BulkAddDevicesNotSupported:                      {"BulkAddDevicesNotSupported", ScopeOperation, "amqp:not-allowed", 5},
	GenericConflict:                                 {"GenericConflict", ScopeOperation, "amqp:not-allowed", 5},
	DeviceAlreadyExists:                             {"DeviceAlreadyExists", ScopeOperation, "amqp:not-allowed", 5},
	LinkCreationConflict:                            {"LinkCreationConflict", ScopeLink, "amqp:internal-error", 3},
	CallbackSubscriptionConflict:                    {"CallbackSubscriptionConflict", ScopeOperation, "amqp:not-allowed", 5},
	ModelAlreadyExists:                              {"ModelAlreadyExists", ScopeOperation, "amqp:not-allowed", 5},
	DeviceLocked:                                    {"DeviceLocked", ScopeOperation, "amqp:not-allowed", 5},
	DeviceJobAlreadyExists:                          {"DeviceJobAlreadyExists", ScopeOperation, "amqp:not-allowed", 5},
	JobAlreadyExists:                                {"JobAlreadyExists", ScopeOperation, "amqp:not-allowed", 5},
	ModuleAlreadyExistsOnDevice:                     {"ModuleAlreadyExistsOnDevice", ScopeOperation, "amqp:not-allowed", 5},
	ConfigurationAlreadyExists:                      {"ConfigurationAlreadyExists", ScopeOperation, "amqp:not-allowed", 5},
	ApplyConfigurationAlreadyInProgressOnDevice:     {"ApplyConfigurationAlreadyInProgressOnDevice", ScopeOperation, "amqp:not-allowed", 5},
	DigitalTwinModelAlreadyExists:                   {"DigitalTwinModelAlreadyExists", ScopeOperation, "amqp:not-allowed", 5},
	DigitalTwinModelExistsWithOtherModelType:        {"DigitalTwinModelExistsWithOtherModelType", ScopeOperation, "amqp:not-allowed", 5},
	InterfaceNameModelAlreadyExists:                 {"InterfaceNameModelAlreadyExists", ScopeOperation, "amqp:not-allowed", 5},
	GenericPreconditionFailed:                       {"GenericPreconditionFailed", ScopeOperation, "amqp:precondition-failed", 5},
	PreconditionFailed:                              {"PreconditionFailed", ScopeOperation, "amqp:precondition-failed", 5},
	DeviceMessageLockLost:                           {"DeviceMessageLockLost", ScopeOperation, "com.microsoft:message-lock-lost", 5},
	JobRunPreconditionFailed:                        {"JobRunPreconditionFailed", ScopeOperation, "amqp:precondition-failed", 5},
	InflightMessagesInLink:                          {"InflightMessagesInLink", ScopeLink, "amqp:precondition-failed", 5},
	GenericRequestEntityTooLarge:                    {"GenericRequestEntityTooLarge", ScopeOperation, "amqp:link:message-size-exceeded", 5},
	MessageTooLarge:                                 {"MessageTooLarge", ScopeLink, "amqp:link:message-size-exceeded", 5},
	TooManyDevices:                                  {"TooManyDevices", ScopeOperation, "amqp:resource-limit-exceeded", 5},
	TooManyModulesOnDevice:                          {"TooManyModulesOnDevice", ScopeOperation, "amqp:resource-limit-exceeded", 5},
	ConfigurationCountLimitExceeded:                 {"ConfigurationCountLimitExceeded", ScopeOperation, "amqp:link:message-size-exceeded", 5},
	DigitalTwinModelCountLimitExceeded:              {"DigitalTwinModelCountLimitExceeded", ScopeOperation, "amqp:link:message-size-exceeded", 5},
	InterfaceNameCompressionModelCountLimitExceeded: {"InterfaceNameCompressionModelCountLimitExceeded", ScopeOperation, "amqp:link:message-size-exceeded", 5},
	GenericUnsupportedMediaType:                     {"GenericUnsupportedMediaType", ScopeOperation, "amqp:not-implemented", 5},
	IncompatibleDataType:                            {"IncompatibleDataType", ScopeOperation, "amqp:not-implemented", 5},
	GenericTooManyRequests:                          {"GenericTooManyRequests", ScopeOperation, "com.microsoft:device-container-throttled", 3},
	ThrottlingException:                             {"ThrottlingException", ScopeOperation, "com.microsoft:device-container-throttled", 3},
	ThrottleBacklogLimitExceeded:                    {"ThrottleBacklogLimitExceeded", ScopeLink, "com.microsoft:device-container-throttled", 3},
	ThrottlingBacklogTimeout:                        {"ThrottlingBacklogTimeout", ScopeOperation, "com.microsoft:device-container-throttled", 3},
	ThrottlingMaxActiveJobCountExceeded:             {"ThrottlingMaxActiveJobCountExceeded", ScopeOperation, "com.microsoft:device-container-throttled", 3},
	DeviceThrottlingLimitExceeded:                   {"DeviceThrottlingLimitExceeded", ScopeLink, "com.microsoft:device-container-throttled", 3},
	ClientClosedRequest:                             {"ClientClosedRequest", ScopeOperation, "amqp:internal-error", 3},
	GenericServerError:                              {"GenericServerError", ScopeOperation, "amqp:internal-error", 3},
	ServerError:                                     {"ServerError", ScopeOperation, "amqp:internal-error", 3},
	JobCancelled:                                    {"JobCancelled", ScopeOperation, "amqp:internal-error", 3},
	StatisticsRetrievalError:                        {"StatisticsRetrievalError", ScopeOperation, "amqp:internal-error", 3},
	ConnectionForcefullyClosed:                      {"ConnectionForcefullyClosed", ScopeConnection, "amqp:internal-error", 3},
	InvalidBlobState:                                {"InvalidBlobState", ScopeOperation, "amqp:internal-error", 3},
	BackupTimedOut:                                  {"BackupTimedOut", ScopeOperation, "amqp:internal-error", 3},
	AzureStorageTimeout:                             {"AzureStorageTimeout", ScopeOperation, "amqp:internal-error", 3},
	GenericTimeout:                                  {"GenericTimeout", ScopeConnection, "com.microsoft:timeout", 3},
	InvalidThrottleParameter:                        {"InvalidThrottleParameter", ScopeOperation, "amqp:internal-error", 3},
	EventHubLinkAlreadyClosed:                       {"EventHubLinkAlreadyClosed", ScopeOperation, "amqp:internal-error", 3},
	GenericNotImplemented:                           {"GenericNotImplemented", ScopeOperation, "amqp:not-implemented", 3},
	GenericBadGateway:                               {"GenericBadGateway", ScopeOperation, "amqp:internal-error", 3},
	GenericServiceUnavailable:                       {"GenericServiceUnavailable", ScopeOperation, "com.microsoft:server-busy", 3},
	ServiceUnavailable:                              {"ServiceUnavailable", ScopeOperation, "com.microsoft:server-busy", 3},
	PartitionNotFound:                               {"PartitionNotFound", ScopeOperation, "com.microsoft:server-busy", 3},
	IotHubActivationFailed:                          {"IotHubActivationFailed", ScopeOperation, "com.microsoft:server-busy", 3},
	ServerBusy:                                      {"ServerBusy", ScopeConnection, "com.microsoft:server-busy", 3},
	IotHubRestoring:                                 {"IotHubRestoring", ScopeOperation, "com.microsoft:server-busy", 3},
	ReceiveLinkOpensThrottled:                       {"ReceiveLinkOpensThrottled", ScopeLink, "com.microsoft:server-busy", 3},
	ConnectionUnavailable:                           {"ConnectionUnavailable", ScopeOperation, "com.microsoft:server-busy", 3},
	DeviceUnavailable:                               {"DeviceUnavailable", ScopeOperation, "com.microsoft:server-busy", 3},
	ConfigurationNotAvailable:                       {"ConfigurationNotAvailable", ScopeOperation, "com.microsoft:server-busy", 3},
	GroupNotAvailable:                               {"GroupNotAvailable", ScopeOperation, "com.microsoft:server-busy", 3},
	HostingServiceNotAvailable:                      {"HostingServiceNotAvailable", ScopeOperation, "com.microsoft:server-busy", 3},
	GenericGatewayTimeout:                           {"GenericGatewayTimeout", ScopeOperation, "com.microsoft:timeout", 3},
	GatewayTimeout:                                  {"GatewayTimeout", ScopeOperation, "com.microsoft:timeout", 3},
}

func row(c Code) entry {
	if e, ok := table[c]; ok {
		return e
	}
	return table[ServerError]
}
