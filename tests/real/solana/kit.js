// kit.js URL WS_URL - @solana/kit, a client that is not ours, talks to `rpcfan sim --solana`: so the
// fake node is checked by somebody who did not write it. Called by run; exit status 0 where all is
// as kit expects it.
'use strict';

const assert = require('assert');
const kit = require('@solana/kit');

const [, , url, wsUrl] = process.argv;
const WANTED = 20; // notifications of each kind

const collect = async (subscription, n, seen) => {
  const abort = new AbortController();
  const notes = await subscription.subscribe({ abortSignal: abort.signal });
  for await (const note of notes) {
    seen.push(note);
    if (seen.length >= n) break;
  }
  abort.abort();
  return seen;
};

const main = async () => {
  const rpc = kit.createSolanaRpc(url);
  const live = kit.createSolanaRpcSubscriptions(wsUrl);
  assert.equal(await rpc.getHealth().send(), 'ok');
  assert.ok((await rpc.getVersion().send())['solana-core']);
  assert.ok((await rpc.getGenesisHash().send()).length >= 32);
  const slot = await rpc.getSlot({ commitment: 'confirmed' }).send();
  assert.equal(typeof slot, 'bigint');
  assert.ok(slot > 0n);
  assert.ok((await rpc.getLatestBlockhash().send()).value.blockhash);

  const program = process.argv[4];
  const rows = await rpc
    .getProgramAccounts(program, { encoding: 'base64', withContext: true, commitment: 'confirmed' })
    .send();
  assert.ok(rows.value.length > 0);
  const key = rows.value[0].pubkey;
  kit.assertIsAddress(key);
  const one = await rpc.getAccountInfo(key, { encoding: 'base64' }).send();
  assert.equal(typeof one.value.lamports, 'bigint');
  assert.equal(one.value.data[1], 'base64');
  const many = await rpc
    .getMultipleAccounts(
      rows.value.slice(0, 50).map((row) => row.pubkey),
      { encoding: 'base64' },
    )
    .send();
  assert.equal(many.value.length, Math.min(rows.value.length, 50));

  const options = { encoding: 'base64', commitment: 'confirmed' };
  const [slots, changes, roots] = await Promise.all([
    collect(live.slotNotifications(), WANTED, []),
    collect(live.programNotifications(program, options), WANTED, []),
    collect(live.rootNotifications(), 3, []),
  ]);
  slots.forEach((s) => assert.ok(s.slot > s.parent && s.root <= s.slot));
  changes.forEach((c) => {
    kit.assertIsAddress(c.value.pubkey);
    assert.equal(c.value.account.owner, program);
    assert.equal(c.value.account.data[1], 'base64');
  });
  for (let i = 1; i < changes.length; i++)
    assert.ok(changes[i].context.slot >= changes[i - 1].context.slot);
  const watched = changes[0].value.pubkey;
  const own = await collect(live.accountNotifications(watched, options), 1, []);
  assert.equal(typeof own[0].value.lamports, 'bigint');
  assert.ok(roots.every((root) => typeof root === 'bigint'));

  await assert.rejects(rpc.getAccountInfo('1nvalid').send());
  await assert.rejects(
    rpc.getSlot({ minContextSlot: slot + 100000n }).send(),
    (error) => kit.isSolanaError(error) && error.context.__code === -32016,
  );
  console.log(
    `real: kit read ${rows.value.length} accounts and saw ${slots.length} slots, ` +
      `${changes.length} changes, ${roots.length} roots`,
  );
  process.exit(0);
};

const patience = setTimeout(() => {
  console.error('real: kit waited 60 s for notifications');
  process.exit(1);
}, 60000);
patience.unref();
main().catch((error) => {
  console.error(`real: ${error.stack}`);
  process.exit(1);
});
