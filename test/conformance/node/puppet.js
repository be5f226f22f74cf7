// A puppet reads one JSON command per line, {"id": 1, "do": "name", ...}, does it, and
// writes {"id": 1, "ok": ...} or {"id": 1, "error": {...}}. What happens unasked it
// writes as {"event": "name", ...}.
'use strict';

const readline = require('readline');

function write(line) {
  process.stdout.write(JSON.stringify(line) + '\n');
}

// say reports something that nobody asked for.
function say(event, facts) {
  write(Object.assign({ event }, facts));
}

// explain gives what a test can judge an error by.
function explain(err) {
  return {
    name: (err && err.name) || '',
    kind: (err && err.constructor && err.constructor.name) || '',
    message: String((err && err.message) || err),
    code: err && err.code,
    status: err && err.response && err.response.statusCode,
    body: err && err.responseBody,
    condition: err && err.condition,
    inner: err && err.amqpError && err.amqpError.name,
  };
}

// play performs commands, one after another, until standard input ends.
function play(commands) {
  let last = Promise.resolve();
  const lines = readline.createInterface({ input: process.stdin });
  lines.on('line', (line) => {
    const command = JSON.parse(line);
    last = last.then(async () => {
      try {
        const result = await commands[command.do](command);
        write({ id: command.id, ok: result === undefined ? null : result });
      } catch (err) {
        write({ id: command.id, error: explain(err) });
      }
    });
  });
  lines.on('close', () => last.then(() => process.exit(0)));
  say('ready', {});
}

module.exports = { play, say, explain };
