// A device or module client of the SDK (azure-iot-device) as a puppet.
'use strict';

const fs = require('fs');
const { Client, ModuleClient, Message } = require('azure-iot-device');
const { NoRetry } = require('azure-iot-common');
const amqp = require('azure-iot-device-amqp');
const mqtt = require('azure-iot-device-mqtt');
const http = require('azure-iot-device-http');
const { play, say, explain } = require('./puppet');

const transports = { Mqtt: mqtt.Mqtt, MqttWs: mqtt.MqttWs, Amqp: amqp.Amqp, AmqpWs: amqp.AmqpWs, Http: http.Http };
let client;
let twin;

function listen() {
  client.on('disconnect', (result) => say('disconnect', { error: result && result.transportObj && explain(result.transportObj) }));
  client.on('error', (err) => say('error', { error: explain(err) }));
  client.on('connect', () => say('connect', {}));
}

// message builds an SDK message from {body, properties, <system property>...}.
function message(from) {
  const msg = new Message(from.body);
  for (const key of ['messageId', 'correlationId', 'userId', 'contentType', 'contentEncoding', 'to']) {
    if (from[key] !== undefined) msg[key] = from[key];
  }
  for (const [key, value] of from.properties || []) msg.properties.add(key, value);
  return msg;
}

play({
  // create: {connection, transport, retry, ca, cert, key, options}
  async create(c) {
    const kind = c.connection.includes('ModuleId=') ? ModuleClient : Client;
    client = kind.fromConnectionString(c.connection, transports[c.transport]);
    if (!c.retry) client.setRetryPolicy(new NoRetry());
    const options = Object.assign({ ca: fs.readFileSync(c.ca, 'utf8') }, c.options);
    if (c.cert) Object.assign(options, { cert: fs.readFileSync(c.cert, 'utf8'), key: fs.readFileSync(c.key, 'utf8') });
    // Over HTTPS the SDK never settles setOptions for a CA; Node trusts it by NODE_EXTRA_CA_CERTS.
    if (c.transport !== 'Http') await client.setOptions(options);
    listen();
  },
  async open() {
    const result = await client.open();
    return { kind: result && result.constructor.name };
  },
  // again: {connection, transport, ca}: the same program opens another client.
  async again(c) {
    const second = Client.fromConnectionString(c.connection, transports[c.transport]);
    await second.setOptions({ ca: fs.readFileSync(c.ca, 'utf8') });
    second.on('error', () => {});
    await second.open();
    second.onDeviceMethod('reboot', () => {});
  },
  async send(c) {
    const result = await client.sendEvent(message(c.message));
    return { kind: result && result.constructor.name };
  },
  async output(c) {
    const result = await client.sendOutputEvent(c.output, message(c.message));
    return { kind: result && result.constructor.name };
  },
  async batch(c) {
    const result = await client.sendEventBatch(c.messages.map(message));
    return { kind: result && result.constructor.name };
  },
  onMethod(c) {
    client.onDeviceMethod(c.method, (_request, response) => response.send(200, {}));
  },
  // onMessage: {outcomes}: what to do with the first message, the second...; 'complete' if not said.
  onMessage(c) {
    const outcomes = (c.outcomes || []).values();
    client.on('message', (msg) => {
      const properties = [];
      for (let i = 0; i < msg.properties.count(); i++) {
        const item = msg.properties.getItem(i);
        properties.push([item.key, item.value]);
      }
      say('message', {
        body: msg.data.toString(), messageId: msg.messageId, correlationId: msg.correlationId, userId: msg.userId, to: msg.to,
        contentType: msg.contentType, contentEncoding: msg.contentEncoding, expiry: msg.expiryTimeUtc && new Date(msg.expiryTimeUtc), ack: msg.ack, properties,
        deliveries: msg.transportObj && msg.transportObj.delivery_count,
      });
      const outcome = outcomes.next().value || 'complete';
      client[outcome](msg, (err, result) => say('settled', { error: err && explain(err), kind: result && result.constructor.name }));
    });
  },
  async getTwin() {
    twin = await client.getTwin();
    return twin.properties;
  },
  async close() {
    await client.close();
  },
});
