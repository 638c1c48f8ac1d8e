// Starts the stand-in for Discord and speaks with it: see README.md.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

const COMMAND = (process.env.FAKE ?? 'cargo test -q --test prove -- --as discord').split(' ');

export async function startFake() {
  const child = spawn(COMMAND[0], COMMAND.slice(1), { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => {
    for (;;) {
      const { value, done } = await lines.next();
      if (done) throw new Error('the stand-in ended');
      if (/^[{["0-9tfn]/.test(value)) return JSON.parse(value);
    }
  };
  const begins = await next();
  let turn = Promise.resolve();
  // One command at a time; its answer is the next line.
  const ask = (...words) => {
    const asked = turn.then(() => {
      child.stdin.write(words.join(' ') + '\n');
      return next();
    });
    turn = asked.catch(() => {});
    return asked;
  };
  return { ...begins, ask, end: () => child.stdin.end() };
}

let failed = 0;
export function check(what, fine, saw) {
  if (!fine) failed += 1;
  console.log(`${fine ? 'ok  ' : 'FAIL'} ${what}${fine || saw === undefined ? '' : ': ' + JSON.stringify(saw)}`);
}

/** Ends the process; fails it when a check failed or the stand-in complains. */
export async function finish(fake, allowed = []) {
  const { violations } = await fake.ask('state');
  const others = violations.filter((it) => !allowed.some((known) => it.includes(known)));
  check('no violation', others.length === 0, others);
  fake.end();
  console.log(failed ? `${failed} failed` : 'all fine');
  process.exit(failed ? 1 : 0);
}

export const soon = (promise, what, ms = 10_000) =>
  Promise.race([promise, new Promise((_, no) => setTimeout(() => no(new Error(`${what}: not within ${ms} ms`)), ms))]);
