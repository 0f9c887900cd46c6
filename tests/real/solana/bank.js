// bank.js - a Solana bank over LiteSVM: transactions are run by the real runtime, slot by slot, and
// what each slot wrote is known. Called by node.js and conform.js.
'use strict';

const { LiteSVM } = require('litesvm');
const kit = require('@solana/kit');

// What an account looks like to a client: null where it does not exist.
const view = (account) =>
  account && account.exists !== false && account.lamports > 0n
    ? {
        lamports: account.lamports,
        data: Buffer.from(account.data),
        owner: account.programAddress,
        executable: account.executable,
      }
    : null;

class Bank {
  constructor() {
    this.svm = new LiteSVM();
    this.slot = 100;
    this.written = new Set(); // addresses written in the slot under way
    this.frozen = []; // told of each slot that ends: (slot, addresses)
  }

  async start() {
    this.payer = await kit.generateKeyPairSigner();
    this.svm.airdrop(this.payer.address, kit.lamports(10n ** 13n));
    return this;
  }

  // Runs one transaction in the slot under way. Which accounts it wrote is asked beforehand.
  async run(instructions) {
    const message = kit.pipe(
      kit.createTransactionMessage({ version: 0 }),
      (m) => kit.setTransactionMessageFeePayerSigner(this.payer, m),
      (m) =>
        kit.setTransactionMessageLifetimeUsingBlockhash(
          { blockhash: this.svm.latestBlockhash(), lastValidBlockHeight: 1n << 40n },
          m,
        ),
      (m) => kit.appendTransactionMessageInstructions(instructions, m),
    );
    const tx = await kit.signTransactionMessageWithSigners(message);
    const simulated = this.svm.simulateTransaction(tx);
    const result = this.svm.sendTransaction(tx);
    this.svm.expireBlockhash();
    if (typeof result.logs !== 'function')
      throw new Error(`the runtime refused a transaction: ${result.toString().slice(0, 400)}`);
    for (const account of simulated.postAccounts()) this.written.add(account.address);
  }

  account(address) {
    return view(this.svm.getAccount(address));
  }

  program(address) {
    return this.svm
      .getProgramAccounts(address)
      .filter((a) => a.lamports > 0n)
      .map((a) => ({ pubkey: a.address, account: view(a) }));
  }

  // Ends the slot: its writes are confirmed, and told.
  freeze() {
    const slot = this.slot++;
    const keys = [...this.written];
    this.written.clear();
    for (const tell of this.frozen) tell(slot, keys);
    return slot;
  }
}

module.exports = { Bank };
