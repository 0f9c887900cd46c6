// client.js - N balance calls through viem or ethers, as their documentation has it, from so many
// callers at once. Called by compare.js as: node client.js viem|ethers URL CALLS CALLERS BATCH
// Prints one line of JSON: answered, failed, ms.
'use strict';

// Each address is another one, so that nobody's cache answers.
function address(k) {
  return '0x' + (k + 1).toString(16).padStart(40, '0');
}

function open_viem(url, batch) {
  const { createPublicClient, http } = require('viem');
  const client = createPublicClient({
    transport: http(url, batch > 1 ? { batch: { batchSize: batch } } : {}),
  });
  return (k) => client.getBalance({ address: address(k) });
}

function open_ethers(url, batch) {
  const { JsonRpcProvider, Network } = require('ethers');
  const network = Network.from(1); // known, so that it is not asked for
  const options = { staticNetwork: network, batchMaxCount: batch };
  const provider = new JsonRpcProvider(url, network, options);
  return (k) => provider.getBalance(address(k));
}

async function main() {
  const [name, url, calls, callers, batch] = process.argv.slice(2);
  const ask = (name === 'viem' ? open_viem : open_ethers)(url, Number(batch));
  let next = 0;
  let answered = 0;
  let failed = 0;
  async function caller() {
    while (next < Number(calls)) {
      const k = next++;
      try {
        await ask(k);
        answered++;
      } catch (error) {
        failed++;
        if (process.env.WHY && failed === 1) console.error(error);
      }
    }
  }
  const start = process.hrtime.bigint();
  await Promise.all(Array.from({ length: Number(callers) }, caller));
  const ms = Number((process.hrtime.bigint() - start) / 1000000n);
  console.log(JSON.stringify({ answered, failed, ms }));
  process.exit(0); // ethers would stay for its own timers
}

main();
