// Node's HTTP/2 server in the place of Apple's: responds to pushes in random order, and does in
// between what its module offers. What becomes of a token depends on the last digit of it. Started
// by http2_servers.py: options in JSON are the first argument; writes the port as a line, and for
// each line that it reads what it has responded with: {token: [status, ...]}. Ends with its
// standard input.
'use strict';

const fs = require('fs');
const http2 = require('http2');
const readline = require('readline');

const options = JSON.parse(process.argv[2]);
const statuses = {};
let seed = 20150101;

function chance() {
  seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
  return seed / 0x80000000;
}

function respond(stream, token, body) {
  const before = statuses[token] = statuses[token] || [];
  const digit = token.slice(-1);
  const fields = { ':status': 200, 'apns-id': 'EC1BF194-B3B2-424A-89A9-5A918A6E6B5D' };
  let said = null;
  if (body !== (options.body || `{"aps":{"badge":${parseInt(token, 16)}}}`)) {
    fields[':status'] = 400;
    said = { reason: 'PayloadEmpty' };
  } else if (digit === 'a') {
    fields[':status'] = 400;
    said = { reason: 'BadDeviceToken' };
  } else if (digit === 'b') {
    fields[':status'] = 410;
    said = { reason: 'Unregistered', timestamp: 1454402113000 };
  } else if (digit === 'c' && before.length === 0) {
    fields[':status'] = 429;
    said = { reason: 'TooManyRequests' };
  } else if (digit === 'd') {
    stream.additionalHeaders({ ':status': 103, link: '</>' });
  }
  before.push(fields[':status']);
  if (digit === 'e') {
    stream.respond(fields, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'apns-note': 'trailer' }));
    stream.end('{}');
  } else if (said === null) {
    stream.respond(fields, { endStream: true });
  } else {
    const text = JSON.stringify(said);
    stream.respond(fields);
    stream.write(text.slice(0, 7));
    setImmediate(() => { if (!stream.destroyed) stream.end(text.slice(7)); });
  }
}

const server = http2.createSecureServer({
  key: fs.readFileSync(options.key),
  cert: fs.readFileSync(options.cert),
  ca: fs.readFileSync(options.ca),
  requestCert: true,
  rejectUnauthorized: true,
  paddingStrategy: options.padding ? http2.constants.PADDING_STRATEGY_MAX : 0,
  settings: { maxConcurrentStreams: options.streams || 100 },
});

server.on('session', (session) => {
  session.count = 0;
  session.on('error', () => {});
});

function disturb(session) {
  session.count += 1;
  const count = session.count;
  if (options.limits && count % 50 === 0) {
    const limit = options.limits[count / 50 % options.limits.length];
    session.settings({ maxConcurrentStreams: limit });
  }
  if (count === options.goaway) {
    session.goaway(0, 0, Buffer.from('{"reason":"Shutdown"}'));
  } else if (count === options.close) {
    session.close();
  } else if (count === options.destroy) {
    session.destroy();
  }
}

server.on('stream', (stream, headers) => {
  stream.on('error', () => {});
  const session = stream.session;
  disturb(session);
  if (stream.destroyed) {
    return;
  }
  if (options.refuse && session.count % options.refuse === 0) {
    stream.close(http2.constants.NGHTTP2_REFUSED_STREAM);
    return;
  }
  const token = headers[':path'].replace('/3/device/', '');
  let body = '';
  stream.setEncoding('utf8');
  stream.on('data', (piece) => { body += piece; });
  stream.on('end', () => {
    const response = () => { if (!stream.destroyed) respond(stream, token, body); };
    if (chance() < 0.5) setImmediate(response); else setTimeout(response, 1);
  });
});

server.listen(0, '127.0.0.1', () => console.log(server.address().port));
const lines = readline.createInterface({ input: process.stdin });
lines.on('line', () => console.log(JSON.stringify(statuses)));
lines.on('close', () => process.exit(0));
