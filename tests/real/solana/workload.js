// workload.js - what happens to SPL Token accounts: made, minted to, transferred, handed to another
// authority, closed, closed and made again, and taken out of the program and back. Called by
// conform.js; the choice of each step comes from a seeded generator.
'use strict';

const kit = require('@solana/kit');
const system = require('@solana-program/system');
const token = require('@solana-program/token');

const SPACE = 165n;

// xorshift32: the same seed, the same run.
const generator = (seed) => {
  let s = seed >>> 0 || 1;
  return (n) => {
    s ^= s << 13;
    s >>>= 0;
    s ^= s >>> 17;
    s ^= s << 5;
    s >>>= 0;
    return s % n;
  };
};

class Workload {
  constructor(bank, seed) {
    this.bank = bank;
    this.below = generator(seed);
    this.live = []; // token accounts: { signer, authority }
    this.left = []; // signers whose account belongs to the System program now
    this.count = {};
  }

  async start(accounts) {
    this.rent = this.bank.svm.minimumBalanceForRentExemption(SPACE);
    this.mint = await kit.generateKeyPairSigner();
    await this.bank.run([
      system.getCreateAccountInstruction({
        payer: this.bank.payer,
        newAccount: this.mint,
        lamports: this.bank.svm.minimumBalanceForRentExemption(82n),
        space: 82,
        programAddress: token.TOKEN_PROGRAM_ADDRESS,
      }),
      token.getInitializeMint2Instruction({
        mint: this.mint.address,
        decimals: 6,
        mintAuthority: this.bank.payer.address,
      }),
    ]);
    for (let i = 0; i < accounts; i++) await this.create();
    return this;
  }

  mintTo(account, amount) {
    return token.getMintToInstruction({
      mint: this.mint.address,
      token: account.signer.address,
      mintAuthority: this.bank.payer,
      amount,
    });
  }

  initialize(signer) {
    return token.getInitializeAccount3Instruction({
      account: signer.address,
      mint: this.mint.address,
      owner: this.bank.payer.address,
    });
  }

  async create() {
    const signer = await kit.generateKeyPairSigner();
    const account = { signer, authority: this.bank.payer };
    await this.bank.run([
      system.getCreateAccountInstruction({
        payer: this.bank.payer,
        newAccount: signer,
        lamports: this.rent,
        space: Number(SPACE),
        programAddress: token.TOKEN_PROGRAM_ADDRESS,
      }),
      this.initialize(signer),
      this.mintTo(account, 1000000n),
    ]);
    this.live.push(account);
  }

  pick() {
    return this.live[this.below(this.live.length)];
  }

  async transfer() {
    const from = this.pick();
    await this.bank.run([
      this.mintTo(from, BigInt(1 + this.below(1000))),
      token.getTransferInstruction({
        source: from.signer.address,
        destination: this.pick().signer.address,
        authority: from.authority,
        amount: 1n,
      }),
    ]);
  }

  async reassign() {
    const account = this.pick();
    const next = await kit.generateKeyPairSigner();
    await this.bank.run([
      token.getSetAuthorityInstruction({
        owned: account.signer.address,
        owner: account.authority,
        authorityType: token.AuthorityType.AccountOwner,
        newAuthority: next.address,
      }),
    ]);
    account.authority = next;
  }

  // What closes an account: its tokens are burned, its lamports go to the payer.
  closing(account) {
    const { amount } = token
      .getTokenDecoder()
      .decode(this.bank.account(account.signer.address).data);
    const both = { account: account.signer.address, mint: this.mint.address };
    return [
      token.getBurnInstruction({ ...both, authority: account.authority, amount }),
      token.getCloseAccountInstruction({
        account: account.signer.address,
        destination: this.bank.payer.address,
        owner: account.authority,
      }),
    ];
  }

  take() {
    return this.live.splice(this.below(this.live.length), 1)[0];
  }

  async close() {
    await this.bank.run(this.closing(this.take()));
  }

  // Closed and made again, seen from outside as one change.
  async reopen() {
    const account = this.pick();
    await this.bank.run(this.closing(account));
    await this.bank.run([
      system.getCreateAccountInstruction({
        payer: this.bank.payer,
        newAccount: account.signer,
        lamports: this.rent,
        space: Number(SPACE),
        programAddress: token.TOKEN_PROGRAM_ADDRESS,
      }),
      this.initialize(account.signer),
    ]);
    account.authority = this.bank.payer;
  }

  // It exists still, but belongs to the System program: nobody tells a program's subscriber.
  async leave() {
    const account = this.take();
    await this.bank.run([
      ...this.closing(account),
      system.getTransferSolInstruction({
        source: this.bank.payer,
        destination: account.signer.address,
        amount: this.rent,
      }),
    ]);
    this.left.push(account.signer);
  }

  async comeBack() {
    const signer = this.left.pop();
    if (!signer) return this.leave();
    await this.bank.run([
      system.getAllocateInstruction({ newAccount: signer, space: SPACE }),
      system.getAssignInstruction({
        account: signer,
        programAddress: token.TOKEN_PROGRAM_ADDRESS,
      }),
      this.initialize(signer),
    ]);
    this.live.push({ signer, authority: this.bank.payer });
  }

  async step() {
    const steps = [
      ...Array(10).fill('transfer'),
      'create',
      'create',
      'create',
      'reassign',
      'reassign',
      'close',
      'close',
      'reopen',
      'leave',
      'comeBack',
    ];
    const name = steps[this.below(steps.length)];
    this.count[name] = (this.count[name] || 0) + 1;
    await this[name]();
  }
}

module.exports = { Workload, PROGRAM: token.TOKEN_PROGRAM_ADDRESS };
