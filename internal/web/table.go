package web

import (
	"net/http"

	"github.com/berth-iot/berth/internal/iot"
)

// table is every path the hub answers on its HTTPS port. The rights are those of
// service-rest A.2.
func table() []endpoint {
	const (
		get, put, post, del, patch = http.MethodGet, http.MethodPut, http.MethodPost, http.MethodDelete, http.MethodPatch

		device    = "/devices/{device}"
		module    = "/devices/{device}/modules/{module}"
		twin      = "/twins/{device}"
		mtwin     = "/twins/{device}/modules/{module}"
		authority = "/berth/v1/cas/{name}"
		explained = "/berth/v1/devices/{device}"
	)
	return []endpoint{
		{get, "/devices", serviceAPI, rights(iot.RegistryRead), (*Server).listDevices},
		{post, "/devices", serviceAPI, rights(iot.RegistryWrite), (*Server).bulk},
		{post, "/devices/query", serviceAPI, rights(iot.ServiceConnect), (*Server).noQueries},
		{post, "/devices/keys/regenerate", serviceAPI, rights(iot.RegistryWrite), (*Server).regenerateKeys},
		{get, device, serviceAPI, rights(iot.RegistryRead), (*Server).getDevice},
		{put, device, serviceAPI, rights(iot.RegistryWrite), (*Server).putDevice},
		{del, device, serviceAPI, rights(iot.RegistryWrite), (*Server).deleteDevice},
		{get, device + "/modules", serviceAPI, rights(iot.RegistryRead), (*Server).listModules},
		{get, module, serviceAPI, rights(iot.RegistryRead), (*Server).getModule},
		{put, module, serviceAPI, rights(iot.RegistryWrite), (*Server).putModule},
		{del, module, serviceAPI, rights(iot.RegistryWrite), (*Server).deleteModule},
		{get, "/statistics/devices", serviceAPI, rights(iot.RegistryRead), (*Server).deviceStatistics},
		{get, "/statistics/service", serviceAPI, rights(iot.ServiceConnect), (*Server).serviceStatistics},
		{get, twin, serviceAPI, rights(iot.ServiceConnect), (*Server).getTwin},
		{get, mtwin, serviceAPI, rights(iot.ServiceConnect), (*Server).getTwin},

		{patch, twin, serviceAPI, rights(iot.ServiceConnect), (*Server).notYet},
		{put, twin, serviceAPI, rights(iot.ServiceConnect), (*Server).notYet},
		{patch, mtwin, serviceAPI, rights(iot.ServiceConnect), (*Server).notYet},
		{put, mtwin, serviceAPI, rights(iot.ServiceConnect), (*Server).notYet},
		{post, twin + "/methods", serviceAPI, rights(iot.ServiceConnect), (*Server).noMethods},
		{post, mtwin + "/methods", serviceAPI, rights(iot.ServiceConnect), (*Server).noMethods},
		{post, device + "/applyConfigurationContent", serviceAPI, rights(iot.RegistryWrite), (*Server).notYet},
		{del, device + "/commands", serviceAPI, rights(iot.ServiceConnect), (*Server).purgeCommands},
		{post, device + "/messages/deviceBound", serviceAPI, rights(iot.ServiceConnect), (*Server).sendCommand},
		{post, "/messages/deviceBound", serviceAPI, rights(iot.ServiceConnect), (*Server).sendCommand},
		{"", "/messages/{rest}", serviceAPI, rights(iot.ServiceConnect), (*Server).notYet},
		{"", "/configurations", serviceAPI, rights(iot.RegistryRead), (*Server).notYet},
		{"", "/configurations/{rest}", serviceAPI, rights(iot.RegistryRead), (*Server).notYet},
		{"", "/digitaltwins/{rest}", serviceAPI, rights(iot.ServiceConnect), (*Server).notYet},
		{"", "/jobs", serviceAPI, rights(iot.RegistryWrite), (*Server).notYet},
		{"", "/jobs/{rest}", serviceAPI, rights(iot.RegistryWrite), (*Server).notYet},
		{"", "/jobs/v2/{rest}", serviceAPI, rights(iot.ServiceConnect), (*Server).notYet},

		{post, device + "/messages/events", deviceAPI, nil, (*Server).send},
		{post, module + "/messages/events", deviceAPI, nil, (*Server).send},
		{get, device + "/messages/deviceBound", deviceAPI, nil, (*Server).notYet},
		{"", device + "/messages/deviceBound/{rest}", deviceAPI, nil, (*Server).notYet},
		{"", device + "/files", deviceAPI, nil, (*Server).notYet},
		{"", device + "/files/{rest}", deviceAPI, nil, (*Server).notYet},

		{get, "/$iothub/websocket", socketAPI, nil, (*Server).webSocket},
		{get, "/$servicebus/websocket", socketAPI, nil, (*Server).webSocket},

		{get, "/berth/v1/hub", berthAPI, rights(iot.ServiceConnect, iot.RegistryRead), (*Server).about},
		{get, "/berth/v1/events/telemetry", berthAPI, rights(iot.ServiceConnect), (*Server).telemetry},
		{get, "/berth/v1/events/resource-log", berthAPI, rights(iot.ServiceConnect), (*Server).resourceLog},
		{get, "/berth/v1/events/connections", berthAPI, rights(iot.ServiceConnect), (*Server).connections},
		{get, "/berth/v1/conflicts", berthAPI, rights(iot.ServiceConnect), (*Server).conflicts},
		{get, explained + "/explain", berthAPI, rights(iot.ServiceConnect), (*Server).explain},
		{get, explained + "/modules/{module}/explain", berthAPI, rights(iot.ServiceConnect), (*Server).explain},
		{get, "/berth/v1/consumer-groups", berthAPI, rights(iot.ServiceConnect, iot.RegistryRead), (*Server).listGroups},
		{put, "/berth/v1/consumer-groups/{name}", berthAPI, rights(iot.RegistryWrite), (*Server).putGroup},
		{del, "/berth/v1/consumer-groups/{name}", berthAPI, rights(iot.RegistryWrite), (*Server).deleteGroup},
		{get, "/berth/v1/cas", berthAPI, rights(iot.RegistryRead), (*Server).listAuthorities},
		{get, authority, berthAPI, rights(iot.RegistryRead), (*Server).getAuthority},
		{put, authority, berthAPI, rights(iot.RegistryWrite), (*Server).putAuthority},
		{del, authority, berthAPI, rights(iot.RegistryWrite), (*Server).deleteAuthority},
		{post, authority + "/verification-code", berthAPI, rights(iot.RegistryWrite), (*Server).verificationCode},
		{post, authority + "/verify", berthAPI, rights(iot.RegistryWrite), (*Server).verifyAuthority},
	}
}
