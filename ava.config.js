export default {
  extensions: ['ts'],
  files: ['**/*.test.ts', '!node_modules/**'],
  workerThreads: false,
  timeout: '120s',
  concurrency: 2,
}
