/** Chance for jitter; handed in where it is needed, so that tests can choose it. Uniform in [0, 1). */
export const chance: () => number = Math.random;
