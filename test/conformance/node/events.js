// A reader of events (@azure/event-hubs) as a puppet.
'use strict';

const { EventHubConsumerClient, earliestEventPosition, latestEventPosition } = require('@azure/event-hubs');
const WebSocket = require('ws');
const { play, say, explain } = require('./puppet');

let client;
let another; // one client has one subscription for a partition
const clients = [];
const subscriptions = {};

play({
  // create: {connection, group, ws}
  create(c) {
    const options = { retryOptions: { maxRetries: 0 } };
    if (c.ws) options.webSocketOptions = { webSocket: WebSocket };
    another = () => {
      const made = new EventHubConsumerClient(c.group, c.connection, options);
      clients.push(made);
      return made;
    };
    client = another();
  },
  async hub() {
    const p = await client.getEventHubProperties();
    return { name: p.name, partitionIds: p.partitionIds, created: p.createdOn.getTime() };
  },
  async partition(c) {
    const p = await client.getPartitionProperties(c.partition);
    return { empty: p.isEmpty, last: p.lastEnqueuedSequenceNumber, offset: p.lastEnqueuedOffset, first: p.beginningSequenceNumber };
  },
  // subscribe: {as, partition, from, ownerLevel, last}
  subscribe(c) {
    let from = c.from;
    if (from === 'earliest') from = earliestEventPosition;
    if (from === 'latest') from = latestEventPosition;
    subscriptions[c.as] = another().subscribe(
      c.partition,
      {
        async processEvents(events, context) {
          for (const e of events) {
            const last = context.lastEnqueuedEventProperties;
            say('event ' + c.as, {
              body: Buffer.isBuffer(e.body) ? e.body.toString() : e.body, properties: e.properties, system: e.systemProperties,
              offset: e.offset, sequenceNumber: e.sequenceNumber, messageId: e.messageId, last: last && last.sequenceNumber,
            });
          }
        },
        async processError(err) {
          say('error ' + c.as, { error: explain(err) });
        },
      },
      { startPosition: from, ownerLevel: c.ownerLevel, maxWaitTimeInSeconds: 1, trackLastEnqueuedEventProperties: c.last },
    );
  },
  async unsubscribe(c) {
    await subscriptions[c.as].close();
  },
  async close() {
    for (const each of clients) await each.close();
  },
});
