// A plain AMQP 1.0 client (rhea) as a puppet, for what SDKs in other languages send.
'use strict';

const rhea = require('rhea');
const { play, say, explain } = require('./puppet');

const container = rhea.create_container();
const connections = {};
let requests = 0;

// mechanisms are the SASL mechanisms that rhea does not choose by itself.
const mechanisms = { MSSBCBS: { MSSBCBS: () => ({ start: (done) => done(undefined, undefined) }) } };

// attached waits until a link is attached. A refusal is an attach without the terminus that
// was asked for, and then the detach with the error (AMQP 2.6.3), often in one segment.
function attached(link, side, terminus) {
  return new Promise((resolve, reject) => {
    link.on(side + '_error', () => reject(link.error)); // of no effect once it is attached
    link.on(side + '_open', () => link[terminus].address && resolve(link));
  });
}

// send sends a message and waits until it is accepted, or the link ends; begun is told of the
// delivery.
function send(sender, message, begun) {
  return new Promise((resolve, reject) => {
    sender.once('accepted', resolve);
    sender.once('rejected', (context) => reject(context.delivery.remote_state.error));
    sender.once('sender_error', () => reject(sender.error));
    const begin = () => begun(sender.send(message));
    if (sender.sendable()) begin();
    else sender.once('sendable', begin);
  });
}

// request sends a message to a node that answers, and gives the answer. One that comes before
// the outcome of the request is a failure, as uamqp (Azure's C, and Python's az) sees it.
async function request(connection, node, message) {
  const receiver = await attached(connection.open_receiver(node), 'receiver', 'source');
  const sender = await attached(connection.open_sender(node), 'sender', 'target');
  let delivery;
  const answer = new Promise((resolve, reject) => {
    receiver.once('message', (context) => {
      if (delivery.remote_state) resolve(context.message);
      else reject(new Error('the answer came before the outcome of its request'));
    });
  });
  const [got] = await Promise.all([answer, send(sender, message, (begun) => (delivery = begun))]);
  receiver.close();
  sender.close();
  return { id: got.correlation_id, status: got.application_properties['status-code'], body: got.body };
}

play({
  // connect: {as, host, port, mechanism, username, password}
  async connect(c) {
    const connection = container.connect({
      transport: 'tls', host: c.host, port: c.port, servername: c.host, reconnect: false,
      username: c.username, password: c.password, sasl_mechanisms: mechanisms[c.mechanism],
    });
    await new Promise((resolve, reject) => {
      connection.once('connection_open', resolve);
      connection.on('disconnected', (context) => reject(context.error || new Error('disconnected')));
    });
    connections[c.as] = connection;
  },
  // putToken: {as, token, name}
  putToken(c) {
    requests += 1;
    return request(connections[c.as], '$cbs', {
      message_id: requests, body: c.token,
      application_properties: { operation: 'put-token', type: 'servicebus.windows.net:sastoken', name: c.name },
    });
  },
  // manage: {as, node, properties}
  manage(c) {
    return request(connections[c.as], c.node, { message_id: String((requests += 1)), body: '', application_properties: c.properties });
  },
  // receive: {as, address, filter}: answers {} or why the link is refused; messages come as events.
  async receive(c) {
    const source = { address: c.address };
    const key = 'apache.org:selector-filter:string';
    if (c.filter) source.filter = { [key]: rhea.types.wrap_described(c.filter, key) };
    const receiver = connections[c.as].open_receiver({ source });
    receiver.on('message', ({ message }) => say('message ' + c.as, { body: message.body.content.toString(), annotations: message.message_annotations }));
    try {
      await attached(receiver, 'receiver', 'source');
      return {};
    } catch (err) {
      return { condition: err.condition, info: err.info };
    }
  },
  // send: {as, address, body, second}: answers whether the hub has settled, or why the link or the
  // message is refused. second asks for receiver-settle-mode second.
  async send(c) {
    try {
      const sender = await attached(connections[c.as].open_sender({ target: c.address, rcv_settle_mode: c.second ? 1 : 0 }), 'sender', 'target');
      let delivery;
      await send(sender, { body: rhea.message.data_section(Buffer.from(c.body)) }, (begun) => (delivery = begun));
      return { settled: delivery.remote_settled };
    } catch (err) {
      return { condition: err.condition || explain(err).message };
    }
  },
});
