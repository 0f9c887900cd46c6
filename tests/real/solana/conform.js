// conform.js RPCFAN DIRECTORY - `rpcfan index` against a real Solana runtime. Called by run.
//
// A bank runs real SPL Token transactions slot by slot while `rpcfan index` follows the program into
// a database; the node cuts every connection now and then. When the last transaction has run, the
// database must come to hold the same accounts, byte for byte, and stay there; after a restart there
// must be nothing to tell. The exit status is 0 where it does.
'use strict';

const { execFileSync, spawn } = require('child_process');
const path = require('path');

const { Bank } = require('./bank.js');
const { Node } = require('./node.js');
const { PROGRAM, Workload } = require('./workload.js');

const SLOT_MS = 100;
const SLOTS = 250;
const STEPS_A_SLOT = 4;
const CUT_ONE_IN = 25; // slots
const PATIENCE_MS = 60000;
const SEED = 20261128;

const [, , rpcfan, directory] = process.argv;
const database = path.join(directory, 'index.sqlite');
const nextSlot = () => new Promise((resolve) => setTimeout(resolve, SLOT_MS));

const children = new Set();
process.on('exit', () => children.forEach((child) => child.kill('SIGKILL')));

const index = (port, ...more) => {
  const child = spawn(
    rpcfan,
    [
      ...['--family', 'solana', '-u', `http://127.0.0.1:${port}`, '--no-progress'],
      ...['index', '--program', PROGRAM, '--db', database, '--emit', '--sweep', '3s'],
      ...more,
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  children.add(child);
  child.lines = 0;
  child.said = '';
  child.stdout.on('data', (data) => (child.lines += data.toString().split('\n').length - 1));
  child.stderr.on('data', (data) => (child.said = (child.said + data).slice(-4000)));
  child.ended = new Promise((resolve) =>
    child.on('close', (code) => {
      children.delete(child);
      resolve(code);
    }),
  );
  return child;
};

// pubkey -> "owner lamports data", as the database has them and as the bank has them.
const stored = () => {
  const query =
    "select pubkey || '|' || owner || ' ' || lamports || ' ' || lower(hex(data)) from accounts";
  const text = execFileSync('sqlite3', ['-readonly', database, query], { maxBuffer: 1 << 28 });
  return new Map(
    text
      .toString()
      .split('\n')
      .filter(Boolean)
      .map((line) => line.split('|')),
  );
};
const real = (bank) =>
  new Map(
    bank
      .program(PROGRAM)
      .map(({ pubkey, account: a }) => [
        pubkey,
        `${a.owner} ${a.lamports} ${a.data.toString('hex')}`,
      ]),
  );
const differences = (bank) => {
  let have = new Map();
  try {
    have = stored();
  } catch (error) {
    return [`the database cannot be read: ${error.message}`];
  }
  const want = real(bank);
  const wrong = [];
  for (const [key, value] of want)
    if (have.get(key) !== value) wrong.push(`${key}: ${have.get(key)}, wanted ${value}`);
  for (const key of have.keys()) if (!want.has(key)) wrong.push(`${key}: is not there any more`);
  return wrong;
};

const main = async () => {
  const bank = await new Bank().start();
  const work = await new Workload(bank, SEED).start(150);
  const node = new Node(bank);
  const port = await node.listen();
  for (let i = 0; i < 40; i++) bank.freeze();
  let child = index(port);
  let cuts = 0;
  for (let slot = 0; slot < SLOTS; slot++) {
    for (let i = 0; i < STEPS_A_SLOT; i++) await work.step();
    bank.freeze();
    if (work.below(CUT_ONE_IN) === 0) {
      node.cut();
      cuts++;
    }
    await nextSlot();
  }
  // From here on nothing changes but the slot.
  const until = Date.now() + PATIENCE_MS;
  let wrong;
  do {
    bank.freeze();
    await nextSlot();
    wrong = differences(bank);
  } while (wrong.length > 0 && Date.now() < until && children.size > 0);
  console.log(`real: ${JSON.stringify(work.count)}, ${cuts} times all connections cut`);
  console.log(`real: requests ${JSON.stringify(node.requests)}; ${child.lines} changes told`);
  child.kill('SIGINT');
  const status = await child.ended;
  wrong = wrong.concat(differences(bank));
  if (status !== 130) wrong.push(`exit status ${status}, wanted 130: ${child.said}`);

  // Nothing happened since: a new run has nothing to tell.
  const timer = setInterval(() => bank.freeze(), SLOT_MS);
  child = index(port, '--for', '6s');
  const again = await child.ended;
  clearInterval(timer);
  if (again !== 0) wrong.push(`the second run: exit status ${again}: ${child.said}`);
  if (child.lines !== 0) wrong.push(`the second run told ${child.lines} changes, wanted none`);
  wrong = wrong.concat(differences(bank));
  node.close();
  console.log(`real: ${real(bank).size} accounts, ${wrong.length} differences`);
  wrong.slice(0, 5).forEach((line) => console.log(`  ${line.slice(0, 300)}`));
  process.exit(wrong.length === 0 ? 0 : 1);
};

main().catch((error) => {
  console.error(`real: ${error.stack}`);
  process.exit(1);
});
