// chain.js - the addresses and the contract that run prepares on the node and then asks about.
// Called by run to print the transactions that make the state; required by requests.js.
'use strict';

// The ten accounts that the node knows the keys of: the first ones of its default mnemonic.
const accounts = [
  '0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266', '0x70997970c51812dc3a010c7d01b50e0d17dc79c8',
  '0x3c44cdddb6a900fa2b585dd299e03d12fa4293bc', '0x90f79bf6eb2c4f870365e785982e1f101e93b906',
  '0x15d34aaf54267db7d7c367839aaf71a00a2c6a65', '0x9965507d1a55bcc2695c58ba16fb37d819b0a4dc',
  '0x976ea74026e726554db657fa54763abd0c3a0aa9', '0x14dc79964da2c08b23698b3d3cc7ca32193d9955',
  '0x23618e81e3f5cdf7f54c3d65f7fbc0abf5b21e8f', '0xa0ee7a142d267c1f36714e4a8f75612f20a79720',
];

// What the contract does, by its call data:
//   none       adds one to storage slot 0, logs the new value with topic 42 and returns it
//   a zero     reverts with the word 0xdeadbeef
//   a number   returns that many zero bytes
const code = [
  '36601d57', // CALLDATASIZE, PUSH 1d, JUMPI
  '600054600101', // PUSH 0, SLOAD, PUSH 1, ADD
  '80600055', // DUP, PUSH 0, SSTORE
  '600052', // PUSH 0, MSTORE
  '602a60206000a1', // PUSH 42, PUSH 32, PUSH 0, LOG1
  '60206000f3', // PUSH 32, PUSH 0, RETURN
  '5b600035', // 1d: JUMPDEST, PUSH 0, CALLDATALOAD
  '80603257', // DUP, PUSH 32, JUMPI
  '63deadbeef600052', // PUSH deadbeef, PUSH 0, MSTORE
  '60206000fd', // PUSH 32, PUSH 0, REVERT
  '5b6000f3', // 32: JUMPDEST, PUSH 0, RETURN
].join('');
const size = (code.length / 2).toString(16).padStart(2, '0');
const copier = `60${size}600c60003960${size}6000f3`; // CODECOPY from 0c to 0, RETURN
// Follows from the creator, accounts[0], and its nonce, 0.
const contract = '0x5fbdb2315678afecb367f032d93f642f64180aa3';
const rounds = 8;

function transaction(fields) {
  const fees = { maxFeePerGas: '0x12a05f200', maxPriorityFeePerGas: '0x3b9aca00' };
  const params = [{ gas: '0x30000', ...fees, ...fields }];
  return { method: 'eth_sendTransaction', params };
}

function preparation() {
  const calls = [transaction({ from: accounts[0], data: `0x${copier}${code}` })];
  const mine = { method: 'evm_mine', params: [] };
  calls.push(mine);
  for (let round = 1; round <= rounds; round++) {
    for (let i = 0; i < accounts.length; i++) {
      const to = accounts[(i + round) % accounts.length];
      const value = `0x${(round * 1000 + i).toString(16)}`;
      calls.push(transaction({ from: accounts[i], to, value }));
    }
    calls.push(transaction({ from: accounts[round], to: contract }), mine);
  }
  calls.push({ method: 'eth_blockNumber', params: [] });
  return calls;
}

module.exports = { accounts, contract };
if (require.main === module) {
  for (const call of preparation()) console.log(JSON.stringify(call));
}
