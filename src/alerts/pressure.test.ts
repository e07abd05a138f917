import { expect, test, vi } from 'vitest';
import { Pressure } from './pressure.ts';

test('a late event loop shows at once, and is forgotten within seconds', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  let now = 0;
  const pressure = new Pressure({
    clock: { monotonic: () => now },
    intake: { load: () => ({ waitingShare: 0.25, urgentShare: 0, storeLagMs: 3 }) },
    journalLagMs: () => 7,
  });
  const tick = (ms: number): void => {
    now += ms;
    vi.advanceTimersByTime(25);
  };
  try {
    tick(25);
    expect(pressure.read()).toEqual({
      waitingShare: 0.25,
      urgentShare: 0,
      storeLagMs: 3,
      journalLagMs: 7,
      loopLagMs: 0,
    });
    tick(825);
    expect(pressure.read().loopLagMs).toBe(800);
    for (let i = 0; i < 80; i++) tick(25);
    expect(pressure.read().loopLagMs).toBeLessThan(1);
  } finally {
    pressure.close();
    vi.useRealTimers();
  }
});
