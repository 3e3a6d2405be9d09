const WORKERS = 'test/cluster/workers/**'
const DEPLOY = 'test/deploy/**'

/**
 * Clusters of real processes take minutes: `npm run test:workers` runs them. What needs artifacts or hosts
 * is run by `npm run test:artifact` and `npm run test:deploy`. One file at a time, each of them.
 */
const APART = { workers: WORKERS, deploy: DEPLOY }[process.env.HAKIRI_TESTS]

export default {
  extensions: ['ts'],
  files: APART ? [APART] : ['**/*.test.ts', `!${WORKERS}`, `!${DEPLOY}`, '!node_modules/**'],
  workerThreads: false,
  timeout: APART ? '900s' : '120s',
  concurrency: APART ? 1 : 2,
}
