import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    root: fileURLToPath(new URL('../../', import.meta.url)),
    include: ['{src,db,test,load-tests}/**/*.long.test.ts'],
    globalSetup: './test/support/global-setup.ts',
    environment: 'node',
    testTimeout: 3_600_000,
    hookTimeout: 600_000,
    maxWorkers: 1,
    // What a long test prints is its result.
    disableConsoleIntercept: true,
  },
});
