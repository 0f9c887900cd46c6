// node.js - a small Solana node (HTTP and WebSocket on one port of 127.0.0.1) in front of a Bank.
// Called by conform.js. It answers what an account index asks, and tells what agave would tell: an
// account's state where its slot wrote it, a program's accounts where they belong to it afterwards.
// Slots are frozen by the caller; a frozen slot is confirmed at once, and finalized 32 later.
'use strict';

const http = require('http');
const { WebSocketServer } = require('ws');

const INPUTS_MAX = 100;
const MESSAGE_MAX = 4096;

// u64 values do not survive JSON.stringify: they are put in as text.
const RENT_EPOCH = '18446744073709551615';
const json = (value) =>
  JSON.stringify(value, (k, v) => (typeof v === 'bigint' ? `@${v}@` : v)).replace(
    /"@(\d+)@"/g,
    '$1',
  );

const encode = (account, slice) => {
  if (account === null) return null;
  const data = slice
    ? account.data.subarray(slice.offset, slice.offset + slice.length)
    : account.data;
  return {
    lamports: account.lamports,
    data: [data.toString('base64'), 'base64'],
    owner: account.owner,
    executable: account.executable,
    rentEpoch: BigInt(RENT_EPOCH),
    space: account.data.length,
  };
};

const CLOSED = {
  lamports: 0,
  data: ['', 'base64'],
  owner: '11111111111111111111111111111111',
  executable: false,
  rentEpoch: 0,
  space: 0,
};

class RpcError extends Error {
  constructor(code, message, data) {
    super(message);
    this.body = data === undefined ? { code, message } : { code, message, data };
  }
}

class Node {
  constructor(bank) {
    this.bank = bank;
    this.requests = {};
    this.sockets = new Set();
    bank.frozen.push((slot, keys) => this.tell(slot, keys));
  }

  // The newest confirmed slot: the last frozen one.
  get tip() {
    return this.bank.slot - 1;
  }

  floor(config) {
    if (config && config.minContextSlot > this.tip)
      throw new RpcError(-32016, 'Minimum context slot has not been reached', {
        contextSlot: this.tip,
      });
  }

  context(value) {
    return { context: { apiVersion: '2.2.1', slot: this.tip }, value };
  }

  matches(account, filters) {
    return (filters || []).every((f) =>
      f.dataSize !== undefined ? account.data.length === f.dataSize : false,
    );
  }

  call(method, params) {
    this.requests[method] = (this.requests[method] || 0) + 1;
    const config = params.find((p) => p && typeof p === 'object' && !Array.isArray(p)) || {};
    this.floor(config);
    switch (method) {
      case 'getSlot':
        return this.tip;
      case 'getBlockHeight':
        return this.tip;
      case 'getGenesisHash':
        return '5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d';
      case 'getVersion':
        return { 'solana-core': '2.2.1', 'feature-set': 1 };
      case 'getHealth':
        return 'ok';
      case 'getAccountInfo':
        return this.context(encode(this.bank.account(params[0]), config.dataSlice));
      case 'getMultipleAccounts':
        if (params[0].length > INPUTS_MAX)
          throw new RpcError(-32602, `Too many inputs provided; max ${INPUTS_MAX}`);
        return this.context(
          params[0].map((key) => encode(this.bank.account(key), config.dataSlice)),
        );
      case 'getProgramAccounts': {
        const rows = this.bank
          .program(params[0])
          .filter((row) => this.matches(row.account, config.filters))
          .map((row) => ({ pubkey: row.pubkey, account: encode(row.account, config.dataSlice) }));
        return config.withContext ? this.context(rows) : rows;
      }
      default:
        throw new RpcError(-32601, 'Method not found');
    }
  }

  answer(request) {
    const head = { jsonrpc: '2.0', id: request.id };
    try {
      return { ...head, result: this.call(request.method, request.params || []) };
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      return { ...head, error: error.body };
    }
  }

  serve(request, response) {
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => {
      const body = JSON.parse(Buffer.concat(chunks));
      const answer = Array.isArray(body) ? body.map((r) => this.answer(r)) : this.answer(body);
      response.writeHead(200, { 'Content-Type': 'application/json' });
      response.end(json(answer));
    });
  }

  // WebSocket

  subscribe(socket, request) {
    const kind = /^(account|program|slot|root|logs)Subscribe$/.exec(request.method);
    const end = /^(account|program|slot|root|logs)Unsubscribe$/.exec(request.method);
    const head = { jsonrpc: '2.0', id: request.id };
    if (end)
      return { ...head, result: socket.subscriptions.delete(request.params[0]) };
    if (!kind) return this.answer(request);
    const [key, config] = request.params || [];
    const id = ++this.lastId;
    socket.subscriptions.set(id, { kind: kind[1], key, config: config || {} });
    return { ...head, result: id };
  }

  accept(socket) {
    socket.subscriptions = new Map();
    this.sockets.add(socket);
    socket.on('close', () => this.sockets.delete(socket));
    socket.on('error', () => {});
    socket.on('message', (data) => {
      if (data.length > MESSAGE_MAX) return socket.close(1009);
      const body = JSON.parse(data);
      const answer = Array.isArray(body)
        ? body.map((r) => this.subscribe(socket, r))
        : this.subscribe(socket, body);
      socket.send(json(answer));
    });
  }

  notify(socket, id, kind, result) {
    socket.send(
      json({
        jsonrpc: '2.0',
        method: `${kind}Notification`,
        params: { result, subscription: id },
      }),
    );
  }

  tellOne(socket, id, sub, slot, keys) {
    const context = { slot };
    if (sub.kind === 'slot')
      return this.notify(socket, id, 'slot', {
        parent: slot - 1,
        root: Math.max(slot - 32, 0),
        slot,
      });
    if (sub.kind === 'root') return this.notify(socket, id, 'root', Math.max(slot - 32, 0));
    for (const key of keys) {
      const account = this.bank.account(key);
      if (sub.kind === 'account' && sub.key === key)
        this.notify(socket, id, 'account', { context, value: encode(account) || CLOSED });
      if (
        sub.kind === 'program' &&
        account !== null &&
        account.owner === sub.key &&
        this.matches(account, sub.config.filters)
      )
        this.notify(socket, id, 'program', {
          context,
          value: { pubkey: key, account: encode(account) },
        });
    }
  }

  tell(slot, keys) {
    for (const socket of this.sockets)
      for (const [id, sub] of socket.subscriptions) this.tellOne(socket, id, sub, slot, keys);
  }

  // Ends all WebSocket connections without a word.
  cut() {
    for (const socket of this.sockets) socket.terminate();
  }

  listen() {
    this.lastId = 1000;
    this.http = http.createServer((request, response) => this.serve(request, response));
    this.ws = new WebSocketServer({ server: this.http });
    this.ws.on('connection', (socket) => this.accept(socket));
    return new Promise((resolve) =>
      this.http.listen(0, '127.0.0.1', () => resolve(this.http.address().port)),
    );
  }

  close() {
    this.cut();
    this.ws.close();
    this.http.close();
    this.http.closeAllConnections();
  }
}

module.exports = { Node };
