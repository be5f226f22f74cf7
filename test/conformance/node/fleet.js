// Several device clients of the SDK (azure-iot-device) in one process, each with a name.
'use strict';

const fs = require('fs');
const { Client, Message } = require('azure-iot-device');
const { NoRetry } = require('azure-iot-common');
const amqp = require('azure-iot-device-amqp');
const mqtt = require('azure-iot-device-mqtt');
const { play, say, explain } = require('./puppet');

const transports = { Mqtt: mqtt.Mqtt, MqttWs: mqtt.MqttWs, Amqp: amqp.Amqp, AmqpWs: amqp.AmqpWs };
const clients = {};

play({
  // open: {as, connection, transport, ca}
  async open(c) {
    const client = Client.fromConnectionString(c.connection, transports[c.transport]);
    client.setRetryPolicy(new NoRetry());
    await client.setOptions({ ca: fs.readFileSync(c.ca, 'utf8') });
    client.on('disconnect', (result) => say('disconnect ' + c.as, { error: result && result.transportObj && explain(result.transportObj) }));
    client.on('error', (err) => say('error ' + c.as, { error: explain(err) }));
    await client.open();
    clients[c.as] = client;
  },
  // send: {as, body}
  async send(c) {
    const result = await clients[c.as].sendEvent(new Message(c.body));
    return { kind: result && result.constructor.name };
  },
  // receive: {as}: every message is told and completed.
  receive(c) {
    const client = clients[c.as];
    client.on('message', (msg) => {
      client.complete(msg, (err) => say('message ' + c.as, { body: msg.data.toString(), error: err ? explain(err) : undefined }));
    });
  },
  async close(c) {
    await clients[c.as].close();
    delete clients[c.as];
  },
});
