// Preloaded with "node -r ./hosts.js": leads connections for the hub's name to where the
// test's hub listens, so that no hosts file is edited and no privilege is needed.
// BERTH_HOSTS is {"name": {"address": "127.0.0.1", "ports": {"443": 8443}}}.
'use strict';

const net = require('net');

const hosts = JSON.parse(process.env.BERTH_HOSTS || '{}');
const connect = net.Socket.prototype.connect;

net.Socket.prototype.connect = function (...args) {
  const options = Array.isArray(args[0]) ? args[0][0] : args[0];
  const host = options && typeof options === 'object' && hosts[options.host];
  if (host) {
    options.lookup = (_name, opts, done) =>
      opts && opts.all ? done(null, [{ address: host.address, family: 4 }]) : done(null, host.address, 4);
    options.port = host.ports[options.port] || options.port;
  }
  return connect.apply(this, args);
};
