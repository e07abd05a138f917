import { afterEach, describe, expect, test } from 'vitest';
import { SimulatorOptionsError } from './options.ts';
import { parseScriptText, type ScriptInput } from './script.ts';
import { type Simulator, type SimulatorHooks, startSimulator } from './simulator.ts';
import { submitSm, TestingEsme } from './testing-esme.ts';

const throttled = 0x58;
const undo: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function simulate(hooks: SimulatorHooks = {}): Promise<Simulator> {
  const simulator = await startSimulator({ accounts: [{ systemId: 'bank' }, { systemId: 'other' }] }, hooks);
  undo.push(() => simulator.stop());
  return simulator;
}

async function bound(simulator: Simulator, systemId = 'bank'): Promise<TestingEsme> {
  const { esme } = await TestingEsme.bind(simulator.port, systemId);
  undo.push(async () => esme.close());
  return esme;
}

async function statuses(esme: TestingEsme, count: number): Promise<number[]> {
  const answers = await esme.answers(esme.submit(...Array.from({ length: count }, () => submitSm())));
  return answers.map(({ status }) => status);
}

describe('a script', () => {
  test('switches a fault after a count of messages, for a count of messages, and puts back what was there', async () => {
    const simulator = await simulate();
    const esme = await bound(simulator);
    simulator.setFaults('bank', { refuseStatus: 0x45 });
    simulator.runScript({
      steps: [{ after: '3 submits', account: 'bank', fault: { throttle: true, refuseStatus: 0x14 }, for: '2 submits' }],
    });
    // All in one read: the count is exact, not a matter of time.
    expect(await statuses(esme, 8)).toEqual([0, 0, 0, throttled, throttled, 0, 0, 0]);
    expect(simulator.faultsOf('bank')).toMatchObject({ throttle: false, refuseStatus: 0x45 });
    expect(simulator.stats().script).toEqual({ steps: 1, begun: 1, over: 1 });
    expect(simulator.stats().accounts[0]!.fired.throttle).toBe(2);
  });

  test('counts from its start, each account for itself', async () => {
    const simulator = await simulate();
    const [bank, other] = [await bound(simulator), await bound(simulator, 'other')];
    expect(await statuses(bank, 2)).toEqual([0, 0]);
    simulator.runScript({ steps: [{ after: '1 submit', fault: { throttleNext: 1 } }] });
    expect(await statuses(bank, 3)).toEqual([0, throttled, 0]);
    expect(await statuses(other, 3)).toEqual([0, throttled, 0]);
  });

  test('goes by time: nothing before, the fault at its time, nothing after', async () => {
    let nowUs = 1_000_000;
    const simulator = await simulate({ clock: { epochMs: () => 0, monotonicUs: () => nowUs } });
    const esme = await bound(simulator);
    simulator.runScript({ steps: [{ at: 'PT0.05S', account: 'bank', fault: { throttle: true }, for: 'PT0.03S' }] });
    const tick = async (us: number, over: number, begun: number) => {
      nowUs += us;
      await expect.poll(() => simulator.stats().script, { timeout: 5_000 }).toEqual({ steps: 1, begun, over });
    };
    expect(await statuses(esme, 1)).toEqual([0]);
    await tick(50_000, 0, 1);
    expect(await statuses(esme, 1)).toEqual([throttled]);
    await tick(30_000, 1, 1);
    expect(await statuses(esme, 1)).toEqual([0]);
  });

  test('disconnects, unbinds, releases receipts, and brings messages from handsets', async () => {
    const simulator = await simulate();
    const [first, other] = [await bound(simulator), await bound(simulator, 'other')];
    simulator.setFaults('bank', { holdReceipts: true });
    await statuses(first, 1);
    simulator.runScript(`
      steps:
        - { at: PT0S, account: bank, do: release }
        - { at: PT0S, account: bank, message: { from: "447700900777", to: "61000", text: STOP } }
        - { at: PT0.02S, account: bank, do: disconnect }
        - { at: PT0.02S, account: other, do: unbind }
    `);
    await first.messages(2);
    await first.closed;
    await other.pdus(({ command }) => command === 0x06);
    expect(simulator.stats().script).toEqual({ steps: 4, begun: 4, over: 4 });
    expect(simulator.stats().accounts.map(({ fired }) => fired.unbind)).toEqual([0, 1]);
  });

  test('in place of another one: what that one was to end is ended', async () => {
    const simulator = await simulate();
    simulator.runScript({ steps: [{ at: 'PT0S', account: 'bank', fault: { slowMs: 100 }, for: 'PT1H' }] });
    expect(simulator.faultsOf('bank').slowMs).toBe(100);
    simulator.runScript({ steps: [{ at: 'PT1H', fault: { slowMs: 1 } }] });
    expect(simulator.faultsOf('bank').slowMs).toBe(0);
    expect(simulator.stats().script).toEqual({ steps: 1, begun: 0, over: 0 });
  });
});

describe('a wrong script is refused with the field, and changes nothing', () => {
  const wrong: [string, ScriptInput | object, RegExp][] = [
    ['no steps', { steps: [] }, /^steps: /],
    ['an unknown fault', { steps: [{ at: 'PT1S', fault: { slow: 1 } }] }, /^steps\.0\.fault: /],
    ['a value out of range', { steps: [{ at: 'PT1S', fault: { congestion: 100 } }] }, /^steps\.0\.fault\.congestion: /],
    ['no time', { steps: [{ fault: { slowMs: 1 } }] }, /^steps\.0: has exactly one of at and after/],
    ['two times', { steps: [{ at: 'PT1S', after: '1 submit', do: 'unbind' }] }, /^steps\.0: has exactly one/],
    ['a time that is none', { steps: [{ at: '2 s', do: 'unbind' }] }, /^steps\.0\.at: is no duration/],
    ['an empty time', { steps: [{ at: 'PT', do: 'unbind' }] }, /^steps\.0\.at: is no duration/],
    ['a count that is none', { steps: [{ after: '-1 submits', do: 'unbind' }] }, /^steps\.0\.after: is no count/],
    ['nothing to do', { steps: [{ at: 'PT1S' }] }, /^steps\.0: says nothing of what to do/],
    ['an end of what has none', { steps: [{ at: 'PT1S', do: 'unbind', for: 'PT1S' }] }, /^steps\.0\.for: goes with/],
    ['an unknown account', { steps: [{ at: 'PT0S', account: 'x', do: 'unbind' }] }, /^steps\.0\.account: no account x/],
    ['a certificate without TLS', { steps: [{ at: 'PT0S', certificate: 'expired' }] }, /^steps\.0\.certificate: /],
  ];
  test.each(wrong)('%s', async (_, script, message) => {
    const simulator = await simulate();
    expect(() => simulator.runScript(script as ScriptInput)).toThrow(SimulatorOptionsError);
    expect(() => simulator.runScript(script as ScriptInput)).toThrow(message);
    expect(simulator.stats().script).toBeNull();
  });

  test('text that is no YAML, with its line', () => {
    expect(() => parseScriptText('steps:\n  - at: [')).toThrow(/^script: is not YAML at line \d/);
  });
});

test.each([
  ['PT2S', 2_000],
  ['PT0.25S', 250],
  ['PT1M30S', 90_000],
  ['PT1H', 3_600_000],
  ['P1DT2H', 93_600_000],
])('the duration %s', (text, ms) => {
  expect(parseScriptText(JSON.stringify({ steps: [{ at: text, do: 'unbind' }] })).steps[0]!.at).toEqual({
    kind: 'time',
    ms,
  });
});
