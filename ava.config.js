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
  // Of the runner, which stands elsewhere than the files that it runs when it is tested.
  require: process.env.HAKIRI_TEST_HOOK ? [process.env.HAKIRI_TEST_HOOK] : [],
  workerThreads: false,
  timeout: APART ? '900s' : '120s',
  concurrency: APART ? 1 : 2,
}
