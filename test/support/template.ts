/** The database that each test's database is a copy of. */
export const templateDatabase = 'tocsin_template';

declare module 'vitest' {
  interface ProvidedContext {
    /** URL of the database `postgres` of the server that all test files share. */
    postgresUrl: string;
  }
}
