// The service SDK's Registry (azure-iothub) as a puppet: {"do": "call", "method", "args"}.
'use strict';

const { Registry } = require('azure-iothub');
const { play } = require('./puppet');

let registry;

// plain gives a result as JSON, whatever class the SDK made of it.
function plain(value) {
  if (value && typeof value.toJSON === 'function') return value.toJSON();
  return JSON.parse(JSON.stringify(value === undefined ? null : value, (key, v) => (key.startsWith('_') ? undefined : v)));
}

play({
  create(c) {
    registry = Registry.fromConnectionString(c.connection);
  },
  async call(c) {
    const answer = await registry[c.method](...c.args);
    const http = answer && typeof answer === 'object' && 'httpResponse' in answer;
    const body = http ? answer.responseBody : answer;
    return { kind: body && body.constructor.name, status: http && answer.httpResponse.statusCode, value: plain(body) };
  },
});
