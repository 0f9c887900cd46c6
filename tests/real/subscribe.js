// subscribe.js RPCFAN URL - `rpcfan subscribe` against a real Ethereum node, through a wire that is cut
// again and again. Called by run.
//
// Heads must come in the order of the chain, each once, with the hashes that the node gives for them
// afterwards; each log of the contract must come once, and no other. Exit status 0 where they do.
'use strict';

const { spawn } = require('child_process');
const net = require('net');

const { accounts, contract } = require('./chain.js');

const [, , rpcfan, url] = process.argv;
const HEADS = 14;
const LOGS = 24;
const CUT_MS = 2500;
const SEND_MS = 400;
const PATIENCE_MS = 90000;

const wrong = [];
const check = (good, text) => good || wrong.push(text);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const call = async (method, params) => {
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body,
  });
  const answer = await response.json();
  if (answer.error) throw new Error(`${method}: ${answer.error.message}`);
  return answer.result;
};

// A wire to the node whose connections can be cut.
const wire = () => {
  const open = new Set();
  const target = new URL(url);
  const server = net.createServer((near) => {
    const far = net.connect(Number(target.port), target.hostname);
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ]) {
      open.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        open.delete(socket);
        other.destroy();
      });
      socket.pipe(other);
    }
  });
  return new Promise((resolve) =>
    server.listen(0, '127.0.0.1', () =>
      resolve({
        url: `http://127.0.0.1:${server.address().port}`,
        cut: () => open.forEach((socket) => socket.destroy()),
        close: () => server.close(),
      }),
    ),
  );
};

const subscribe = (at, ...args) => {
  const child = spawn(rpcfan, ['--family', 'evm', '-u', at, 'subscribe', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  child.said = '';
  child.stdout.on('data', (data) => (text += data));
  child.stderr.on('data', (data) => (child.said += data));
  child.lines = () => text.split('\n').filter(Boolean).map((line) => JSON.parse(line));
  child.ended = new Promise((resolve) => child.on('close', resolve));
  process.on('exit', () => child.kill('SIGKILL'));
  return child;
};

const main = async () => {
  const between = await wire();
  const heads = subscribe(between.url, '--count', `${HEADS}`, 'eth_subscribe', 'newHeads');
  const filter = JSON.stringify({ address: contract });
  const logs = subscribe(between.url, '--count', `${LOGS}`, 'eth_subscribe', 'logs', filter);
  await pause(1500); // both are subscribed by then: what comes before is not theirs to tell
  const from = await call('eth_blockNumber', []);
  let sent = 0;
  const send = setInterval(async () => {
    if (sent++ < LOGS)
      await call('eth_sendTransaction', [{ from: accounts[1], to: contract, gas: '0x30000' }]);
  }, SEND_MS);
  const cut = setInterval(between.cut, CUT_MS);
  const late = setTimeout(() => [heads, logs].forEach((child) => child.kill()), PATIENCE_MS);
  const status = await Promise.all([heads.ended, logs.ended]);
  [send, cut].forEach(clearInterval);
  clearTimeout(late);
  between.close();
  check(status.every((s) => s === 0), `exit statuses ${status}: ${heads.said} ${logs.said}`);

  const told = heads.lines();
  for (let i = 0; i < told.length; i++) {
    const block = await call('eth_getBlockByNumber', [told[i].number, false]);
    check(block.hash === told[i].hash, `head ${told[i].number} is ${told[i].hash}`);
    if (i > 0)
      check(told[i].parentHash === told[i - 1].hash, `head ${told[i].number} follows no head`);
  }
  check(told.length === HEADS, `${told.length} heads of ${HEADS}`);

  const name = (log) => `${log.blockHash} ${log.logIndex}`;
  const have = logs.lines().map(name);
  const want = await call('eth_getLogs', [{ address: contract, fromBlock: from }]);
  const wanted = want.map(name);
  check(new Set(have).size === have.length, 'a log was told twice');
  check(have.length === LOGS, `${have.length} logs of ${LOGS}`);
  for (let i = 0; i < have.length; i++)
    check(have[i] === wanted[i], `log ${i} is ${have[i]}, not ${wanted[i]}`);
  const gaps = heads.said.split('gap').length - 1;
  check(gaps > 0, 'the wire was cut and no gap was told');
  console.log(`  ${told.length} heads and ${have.length} logs, ${gaps} gaps, ${wrong.length} wrong`);
  wrong.slice(0, 5).forEach((line) => console.log(`  ${line}`));
  process.exit(wrong.length === 0 ? 0 : 1);
};

main().catch((error) => {
  console.error(`real: ${error.stack}`);
  process.exit(1);
});
