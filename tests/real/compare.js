// compare.js ordered|unordered REQUESTS SINGLES ANSWERS - every answer of a run against curl's.
// Called by run. SINGLES has the node's answers to single requests, in the order of REQUESTS. Each
// line of ANSWERS must carry the id that its request has, or its line's number, and the same result
// or the same error; each request must be answered once. Exit status: 0 all agree, 1 they do not.
'use strict';

const { isDeepStrictEqual } = require('util');

const [order, ...files] = process.argv.slice(2);
const [requests, singles, answers] = files.map((file) =>
  require('fs').readFileSync(file, 'utf8').trimEnd().split('\n'));
const shown = 5;
let differences = 0;

function differ(line, what) {
  differences++;
  if (differences <= shown) console.log(`  line ${line}: ${what}`.slice(0, 1000));
}

const idFirst = /^\{(?:"jsonrpc":"2\.0",)?"id":("(?:[^"\\]|\\.)*"|[^,"]+)[,}]/;

// An id's own text: a number may be one that JSON.parse would round. A string counts as its value.
function idOf(text, fallback) {
  const found = idFirst.exec(text);
  if (!found) return fallback;
  return found[1].startsWith('"') ? JSON.stringify(JSON.parse(found[1])) : found[1].trim();
}

const members = ['jsonrpc', 'id', 'result', 'error'];
const outcome = ({ result, error }) => (error === undefined ? { result } : { error });

function compare(text, line) {
  const got = JSON.parse(text);
  const want = JSON.parse(singles[line - 1]);
  const extra = Object.keys(got).filter((key) => !members.includes(key));
  if (want.id !== line) throw new Error(`the single answer ${line} has the id ${want.id}`);
  if (got.jsonrpc !== '2.0' || extra.length > 0) {
    differ(line, `not a JSON-RPC response: ${text}`);
  } else if (('result' in got) === ('error' in got)) {
    differ(line, `not one of result and error: ${text}`);
  } else if (!isDeepStrictEqual(outcome(got), outcome(want))) {
    differ(line, `${requests[line - 1]}\n    single: ${singles[line - 1].slice(0, 240)}\n` +
      `    rpcfan: ${text.slice(0, 240)}`);
  }
  return 'error' in got;
}

const lineOf = new Map(requests.map((text, index) => [idOf(text, `${index + 1}`), index + 1]));
if (lineOf.size !== requests.length) throw new Error('the ids of the requests are not unique');
if (singles.length !== requests.length) {
  throw new Error(`${singles.length} single answers to ${requests.length} requests`);
}
const answered = new Set();
let errors = 0;
answers.forEach((text, index) => {
  const line = lineOf.get(idOf(text));
  if (line === undefined) return differ(index + 1, `an answer to nothing that was asked: ${text}`);
  if (answered.has(line)) return differ(line, `answered twice: ${text}`);
  answered.add(line);
  if (order === 'ordered' && line !== index + 1) differ(line, `its answer is line ${index + 1}`);
  if (compare(text, line)) errors++;
});
for (let line = 1; line <= requests.length; line++) {
  if (!answered.has(line)) differ(line, `not answered: ${requests[line - 1]}`);
}
if (differences > shown) console.log(`  and ${differences - shown} more`);
console.log(`  ${answered.size} of ${requests.length} answered, ${errors} of them with an error; ` +
  `${differences} differences`);
process.exit(differences === 0 ? 0 : 1);
