import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['{src,db,test,load-tests}/**/*.test.ts'],
    exclude: ['**/*.long.test.ts', '**/node_modules/**'],
    globalSetup: './test/support/global-setup.ts',
    environment: 'node',
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // One PostgreSQL and two cores for all: more files at once only make each other late.
    maxWorkers: 2,
  },
});
