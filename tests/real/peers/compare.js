// compare.js - the same calls through the same limit by viem, ethers and rpcfan, and what became of
// them. Called by run. Each client has a fake node of its own; those of one table row group run at
// the same time. What was refused is what the node counted, not what a client says of itself.
//   node compare.js RPCFAN   the command
// Exit status: 0, or 1 where rpcfan lost a call, or wasted requests under a limit that it was told.
'use strict';
const { spawn } = require('child_process');
const http = require('http');
const path = require('path');

const rpcfan = process.argv[2];
const CALLS = 2000;
const LIMIT = 200;
const TOLD_WASTE = 0.01; // of the requests, at most, where rpcfan knows the limit
const GIVE_UP_MS = 180000;

// Resolves with what a program wrote to its standard output and its exit status.
function run(command, args, input) {
  return new Promise((resolve) => {
    const start = process.hrtime.bigint();
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    const timer = setTimeout(() => child.kill('SIGKILL'), GIVE_UP_MS);
    let out = '';
    child.stdout.on('data', (data) => (out += data));
    child.stdin.end(input || '');
    child.on('close', (status) => {
      clearTimeout(timer);
      resolve({ out, status, ms: Number((process.hrtime.bigint() - start) / 1000000n) });
    });
  });
}

// A fake node with the limit. Resolves with its URL and how to end it.
function start_node(retry_after) {
  const limit = `${LIMIT}/1s kind=fixed retry-after=${retry_after ? '1' : 'none'}`;
  const args = ['sim', '--quiet', '--listen=127.0.0.1:0', `--rate=${limit}`];
  const child = spawn(rpcfan, [...args, '--latency=uniform 10ms 30ms'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.stdout.once('data', (line) => {
      resolve({ url: String(line).trim().split(' ').pop(), stop: () => child.kill('SIGTERM') });
    });
  });
}

function counters(url) {
  return new Promise((resolve, reject) => {
    http
      .get(url, (response) => {
        let text = '';
        response.on('data', (data) => (text += data));
        response.on('end', () => resolve(JSON.parse(text)));
      })
      .on('error', reject);
  });
}

async function peer(name, url, batch) {
  const callers = batch === 1 ? 64 : 16 * batch;
  const args = [path.join(__dirname, 'client.js'), name, url, CALLS, callers, batch].map(String);
  const done = await run(process.execPath, args);
  if (done.status !== 0) return { answered: 0, failed: CALLS, ms: done.ms };
  return JSON.parse(done.out);
}

async function ours(told, url, batch) {
  const lines = Array.from({ length: CALLS }, (_, k) => (k + 1).toString(16).padStart(40, '0'));
  const args = ['batch', '-u', url, '--family=evm', '--no-progress', `--batch=${batch}`];
  args.push(`--in-flight=${batch === 1 ? 64 : 16}`, '-m', 'eth_getBalance');
  args.push('-p', '["0x{}","latest"]');
  if (told) args.push(`--rate=${LIMIT}/1s`);
  const done = await run(rpcfan, args, lines.join('\n') + '\n');
  const answered = done.out.split('\n').filter((line) => line.includes('"result":')).length;
  return { answered, failed: CALLS - answered, ms: done.ms };
}

const clients = [
  ['viem', (url, batch) => peer('viem', url, batch)],
  ['ethers', (url, batch) => peer('ethers', url, batch)],
  ['rpcfan, limit told', (url, batch) => ours(true, url, batch)],
  ['rpcfan, limit unknown', (url, batch) => ours(false, url, batch)],
];

function print_row(cells) {
  const widths = [22, 12, 12, 9, 7, 9, 8, 8, 8];
  console.log(
    cells.map((c, i) => (i < 3 ? String(c).padEnd(widths[i]) : String(c).padStart(widths[i]))).join(' '),
  );
}

async function one(entry, batch, retry_after) {
  const [name, call] = entry;
  const node = await start_node(retry_after);
  const result = await call(node.url, batch);
  const seen = await counters(node.url);
  node.stop();
  const wasted = seen.refused_requests / seen.requests;
  const row = [name, batch === 1 ? 'single' : `batch ${batch}`, retry_after ? '1 s' : 'none'];
  row.push(result.answered, result.failed, seen.requests, seen.refused_requests);
  row.push(`${(100 * wasted).toFixed(1)} %`, `${(result.ms / 1000).toFixed(1)} s`);
  const bad =
    name.startsWith('rpcfan') && (result.failed > 0 || (name.includes('told') && wasted > TOLD_WASTE));
  return { row, bad };
}

async function main() {
  let bad = false;
  console.log(`${CALLS} calls through ${LIMIT} a second, fixed windows, 429; ideal ${CALLS / LIMIT} s`);
  print_row(['client', 'calls', 'Retry-After', 'answered', 'failed', 'requests', 'refused', 'wasted', 'time']);
  for (const batch of [1, 20]) {
    for (const retry_after of [true, false]) {
      const rows = await Promise.all(clients.map((entry) => one(entry, batch, retry_after)));
      for (const r of rows) {
        print_row(r.row);
        bad = bad || r.bad;
      }
    }
  }
  process.exitCode = bad ? 1 : 0;
}

main();
