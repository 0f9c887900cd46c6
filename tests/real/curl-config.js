// curl-config.js URL <LINES >CONFIG - a request for the curl program of each NDJSON line on stdin.
// Called by run. Each is a single JSON-RPC request whose id is the line's number; curl sends them
// one after the other, on a connection that it keeps, and ends each answer with a newline.
'use strict';

const url = process.argv[2];
const lines = require('fs').readFileSync(0, 'utf8').trimEnd().split('\n');
const quote = (text) => `"${text.replace(/[\\"]/g, '\\$&')}"`;
const requests = lines.map((line, index) => {
  const body = { jsonrpc: '2.0', ...JSON.parse(line), id: index + 1 };
  return [
    `url = ${quote(url)}`,
    'header = "Content-Type: application/json"',
    `data-raw = ${quote(JSON.stringify(body))}`,
    'write-out = "\\n"',
    'max-time = 30',
    'silent',
    'show-error',
    'fail',
  ].join('\n');
});
process.stdout.write(`${requests.join('\nnext\n')}\n`);
