// npm mqtt as a puppet.
'use strict';

const fs = require('fs');
const mqtt = require('mqtt');
const { play, say, explain } = require('./puppet');

let client;

play({
  // connect: {url, ca, options}; answers with the CONNACK, or with how it was refused.
  connect(c) {
    const options = Object.assign({ reconnectPeriod: 0, connectTimeout: 10000, ca: fs.readFileSync(c.ca) }, c.options);
    return new Promise((resolve) => {
      client = mqtt.connect(c.url, options);
      client.once('connect', (connack) => resolve({ connack: { code: connack.returnCode || connack.reasonCode || 0, present: connack.sessionPresent } }));
      client.once('error', (err) => resolve({ refused: explain(err) }));
      client.once('close', () => resolve({ closed: true }));
      client.on('close', () => say('close', {}));
      client.on('error', () => {});
      client.on('message', (topic, payload) => say('message', { topic, body: payload.toString() }));
    });
  },
  async subscribe(c) {
    return client.subscribeAsync(c.filters, { qos: 1 });
  },
  async publish(c) {
    await client.publishAsync(c.topic, c.body, { qos: c.qos, retain: !!c.retain });
  },
  async end() {
    await client.endAsync();
  },
});
