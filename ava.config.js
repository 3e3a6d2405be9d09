const WORKERS = 'test/cluster/workers/**'

/** Clusters of real processes take minutes: `npm run test:workers` runs them, one file at a time. */
const areWorkersMeant = process.env.HAKIRI_TESTS === 'workers'

export default {
  extensions: ['ts'],
  files: areWorkersMeant ? [WORKERS] : ['**/*.test.ts', `!${WORKERS}`, '!node_modules/**'],
  workerThreads: false,
  timeout: areWorkersMeant ? '900s' : '120s',
  concurrency: areWorkersMeant ? 1 : 2,
}
