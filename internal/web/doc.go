// Package web is the HTTPS side of the hub: the service REST API, the device API,
// the WebSocket upgrade, Berth's own API under /berth/v1/, and the operators' port.
//
// Its one invariant: a request is routed from its escaped path, its right is checked
// against that route, and only then is its body read; what it answers on success is
// durable. It keeps no session and claims no identity, and it knows neither MQTT nor
// AMQP: a WebSocket is upgraded and handed on.
package web
