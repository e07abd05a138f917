import { expect, test } from 'vitest';
import { ManualClock } from '../platform/index.ts';
import { EmergencyGate } from './gate.ts';
import { chunkSize } from './routes.ts';

test('a gate that nobody shut lets pages pass at once', async () => {
  const gate = new EmergencyGate({ clock: new ManualClock() });
  expect(gate.shut).toBe(false);
  expect(await gate.pass(0)).toBe(true);
});

test('an emergency shuts the gate until the last one has left, and leaving twice counts once', async () => {
  const clock = new ManualClock();
  const gate = new EmergencyGate({ clock });
  const [first, second] = [gate.enter(), gate.enter()];
  first();
  first();
  expect(gate.shut).toBe(true);
  const passed = gate.pass(1_000);
  second();
  expect(gate.shut).toBe(true);
  clock.advance(20);
  expect(await passed).toBe(true);
});

test('when the emergency is on the wire the gate opens, but not within the time in which another may follow', () => {
  const clock = new ManualClock();
  let sendsHere = true;
  const gate = new EmergencyGate({ clock, sendsHere: () => sendsHere });
  gate.enter()(true);
  clock.advance(20);
  expect(gate.shut).toBe(true);
  gate.sent();
  expect(gate.shut).toBe(false);
  gate.enter()(true);
  gate.sent();
  clock.advance(19);
  expect(gate.shut).toBe(true);
  clock.advance(1);
  expect(gate.shut).toBe(false);
  gate.enter()(true);
  clock.advance(99);
  expect(gate.shut).toBe(true);
  clock.advance(1);
  expect(gate.shut).toBe(false);
  // Where another process sends, nothing would be heard of it.
  sendsHere = false;
  gate.enter()(true);
  clock.advance(20);
  expect(gate.shut).toBe(false);
});

test('another emergency is expected for ten seconds after the last', () => {
  const clock = new ManualClock();
  const gate = new EmergencyGate({ clock });
  expect(gate.expecting).toBe(false);
  const leave = gate.enter();
  clock.advance(60_000);
  expect(gate.expecting).toBe(true);
  leave();
  clock.advance(9_999);
  expect(gate.expecting).toBe(true);
  clock.advance(1);
  expect(gate.expecting).toBe(false);
});

test('a page passes after its longest wait, and is told that the gate is shut', async () => {
  const clock = new ManualClock();
  const gate = new EmergencyGate({ clock });
  gate.enter();
  const passed = gate.pass(1_000);
  clock.advance(1_000);
  expect(await passed).toBe(false);
});

test('a journal that lags shuts the gate', async () => {
  let lag = 51;
  const gate = new EmergencyGate({ clock: new ManualClock(), journalLagMs: () => lag });
  expect(gate.shut).toBe(true);
  const passed = gate.pass(1_000);
  lag = 50;
  expect(await passed).toBe(true);
});

test.each([
  [0.2, 1],
  [7, 1],
  [8, 2],
  [700, 175],
  [4_000, 1_000],
  [100_000, 1_000],
])('a route of %d TPS has chunks of %d', (tps, size) => {
  expect(chunkSize(tps)).toBe(size);
});
