/** Which connector serves a source's `type`. Each is loaded when it is first used. */

/** Source type → loads the function that makes its connector. */
export const CONNECTORS = {
  http: async () => (await import('./builtin/http/http.ts')).createHttpConnector,
  file: async () => (await import('./builtin/file/file.ts')).createFileConnector,
  postgres: async () => (await import('./builtin/postgres/postgres.ts')).createPostgresConnector,
} as const
