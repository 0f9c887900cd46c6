// requests.js COUNT PREPARED - mixed calls about the prepared state, as NDJSON on stdout.
// Called by run. PREPARED holds the node's answers to chain.js: the transactions' hashes, and last
// the number of the newest block then. No call is about a later state than that, so the node's
// answer to each is the same however many blocks it has mined since. That leaves out
// eth_feeHistory: this node puts the newest block's fee into it, whatever blocks were asked for.
'use strict';

const { accounts, contract } = require('./chain.js');

const count = Number(process.argv[2]);
const text = require('fs').readFileSync(process.argv[3], 'utf8');
const prepared = text.trimEnd().split('\n').map((line) => {
  const answer = JSON.parse(line);
  if (!('result' in answer)) throw new Error(`the state could not be prepared: ${line}`);
  return answer.result;
});
const newest = Number(prepared.pop());
const hashes = prepared.filter((result) => result.length === 66);
if (!(newest >= 9) || hashes.length < 80) throw new Error('the prepared state is not complete');

let state = 20240229; // a fixed seed: the same calls in every run
function random(below) {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
}
const pick = (list) => list[random(list.length)];
const hex = (number) => `0x${number.toString(16)}`;
const word = (number) => `0x${number.toString(16).padStart(64, '0')}`;
const block = () => hex(random(newest + 1));
const stranger = () => `0x${'a'.repeat(34)}${(0x100000 + random(0xf00000)).toString(16)}`;
const address = () => (random(2) ? pick(accounts) : stranger());

const big = () => ({ to: contract, data: word(10000 + random(40000)) });
const logs = () => {
  const from = random(newest + 1);
  const to = from + random(newest + 1 - from);
  return { fromBlock: hex(from), toBlock: hex(to), address: contract };
};

// [how often, the method, its parameters]; those that the node answers with an error come last.
const kinds = [
  [25, 'eth_getBalance', () => [address(), block()]],
  [10, 'eth_getTransactionCount', () => [address(), block()]],
  [8, 'eth_getBlockByNumber', () => [block(), random(2) === 1]],
  [10, 'eth_getTransactionByHash', () => [pick(hashes)]],
  [10, 'eth_getTransactionReceipt', () => [random(10) ? pick(hashes) : word(random(1000))]],
  [3, 'eth_getBlockReceipts', () => [block()]],
  [4, 'eth_getTransactionByBlockNumberAndIndex', () => [block(), hex(random(12))]],
  [2, 'eth_getBlockTransactionCountByNumber', () => [block()]],
  [6, 'eth_getLogs', () => [logs()]],
  [6, 'eth_call', () => [{ from: pick(accounts), to: contract }, block()]],
  [1, 'eth_call', () => [big(), hex(newest)]],
  [4, 'eth_getCode', () => [random(3) ? contract : pick(accounts), block()]],
  [5, 'eth_getStorageAt', () => [contract, hex(random(2)), block()]],
  [3, 'eth_estimateGas', () => [{ from: pick(accounts), to: contract }, hex(newest)]],
  [2, 'eth_getProof', () => [pick(accounts), [word(0)], block()]],
  [4, 'eth_chainId', () => []],
  [3, 'net_version', () => []],
  [2, 'web3_clientVersion', () => undefined],
  [6, 'web3_sha3', () => [hex(0x10000 + random(0xf0000)) + '0']],
  [3, 'eth_call', () => [{ to: contract, data: word(0) }, hex(newest)]],
  [2, 'eth_estimateGas', () => [{ to: contract, data: word(0) }, hex(newest)]],
  [2, 'eth_getBalance', () => pick([[], ['0x1234', '0x1'], [pick(accounts), 'never'], {}])],
  [2, 'eth_getTransactionByHash', () => pick([['0x00'], [7], ['\u00fcn "quoted" \\ \u{1f600}']])],
  [1, 'web3_sha3', () => ['zz']],
  [1, 'eth_sendRawTransaction', () => ['0x00']],
  [2, 'eth_noSuchMethod', () => [random(100)]],
];
const wheel = kinds.flatMap((kind) => Array(kind[0]).fill(kind));

// As text, because not every number here is one that JSON.parse keeps.
const ids = [
  (line) => `${line}`,
  (line) => `"call-${line}"`,
  () => undefined,
  (line) => `184467440737${String(line).padStart(8, '0')}`,
  (line) => `-${line}`,
  (line) => `"\\u00fc \\"${line}\\" \\\\ \u00fc"`,
  (line) => `"${line}"`,
];

for (let line = 1; line <= count; line++) {
  const [, method, make] = pick(wheel);
  const members = [];
  const id = ids[line % ids.length](line);
  if (id !== undefined) members.push(`"id":${id}`);
  if (random(2)) members.push('"jsonrpc":"2.0"');
  members.push(`"method":${JSON.stringify(method)}`);
  const params = make();
  if (params !== undefined) members.push(`"params":${JSON.stringify(params)}`);
  process.stdout.write(`{${members.join(random(2) ? ', ' : ',')}}\n`);
}
