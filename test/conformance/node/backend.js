// A back-end of the service SDK (Client of azure-iothub) as a puppet.
'use strict';

const { Amqp, AmqpWs, Client } = require('azure-iothub');
const { Message, NoRetry } = require('azure-iot-common');
const { play, say, explain } = require('./puppet');

const transports = { Amqp, AmqpWs };
let client;

// receive waits until the receiver that a method of the client gives is attached, and has its
// messages handled.
function receive(method, name, handle) {
  return new Promise((resolve, reject) => {
    client[method]((err, receiver) => {
      if (err) {
        reject(err);
        return;
      }
      receiver.on('error', (failure) => say('error', { receiver: name, error: explain(failure) }));
      receiver.on('message', (msg) => handle(receiver, msg));
      resolve();
    });
  });
}

play({
  // open: {connection, transport}
  async open(c) {
    client = Client.fromConnectionString(c.connection, transports[c.transport]);
    client.setRetryPolicy(new NoRetry());
    client.on('disconnect', (disconnected) => say('error', { error: explain(disconnected.reason) }));
    await client.open();
  },
  // send: {to, message: {body, properties, <system property>...}}
  async send(c) {
    const msg = new Message(c.message.body);
    for (const key of ['messageId', 'correlationId', 'contentType', 'contentEncoding', 'expiryTimeUtc', 'ack']) {
      if (c.message[key] !== undefined) msg[key] = c.message[key];
    }
    for (const [key, value] of c.message.properties || []) msg.properties.add(key, value);
    const sent = await client.send(c.to, msg);
    return { kind: sent.result.constructor.name };
  },
  // feedback: {outcomes}: what to do with the first message, the second...; 'complete' if not said.
  async feedback(c) {
    const outcomes = (c.outcomes || []).values();
    await receive('getFeedbackReceiver', 'feedback', (receiver, msg) => {
      const outcome = outcomes.next().value || 'complete';
      say('feedback', { records: JSON.parse(msg.getData().toString()), contentType: msg.contentType });
      receiver[outcome](msg, (err, result) => say('settled', { error: err && explain(err), kind: result && result.constructor.name }));
    });
  },
  async files() {
    await receive('getFileNotificationReceiver', 'files', (_receiver, msg) => say('file', { body: msg.getData().toString() }));
  },
  async close() {
    await client.close();
  },
});
