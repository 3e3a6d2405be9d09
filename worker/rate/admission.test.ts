/** Which pipelines share a limit, and what a bucket's name may tell. */
import test from 'ava'
import { silentLogger } from '../../lib/system/log.ts'
import { systemClock, systemRandom } from '../../lib/system/clock.ts'
import type { HttpSource, Pipeline } from '../../manifest/manifest.ts'
import { createAdmissions } from './admission.ts'
import { sharedBuckets, type Limited } from './buckets.ts'

const api = (
  name: string,
  token: string | undefined,
  limits: Partial<Pipeline['limits']> = {},
  base = 'https://api.example.com/v1',
): Limited => ({
  name,
  source: {
    type: 'http',
    base,
    auth: token === undefined ? undefined : { kind: 'bearer', token },
    headers: {},
    streams: [],
    timeoutMs: 1_000,
    conditional: false,
    bodyBytesMax: 1_000,
  } satisfies HttpSource,
  limits: { concurrency: 1, requestsPerHour: undefined, requestsPerSecond: undefined, ...limits },
})

test('pipelines with one credential at one API share its buckets under the lowest limit named', (t) => {
  const buckets = sharedBuckets([
    api('a', 'env:T', { requestsPerSecond: 10 }),
    api(
      'b',
      'env:T',
      { requestsPerSecond: 4, requestsPerHour: 3_600 },
      'https://api.example.com/v2',
    ),
    api('c', 'env:T'),
    api('d', 'env:OTHER', { requestsPerSecond: 10 }),
    api('e', 'env:T', { requestsPerSecond: 10 }, 'https://other.example.com'),
    api('f', 'env:F'),
  ])
  t.deepEqual(buckets.get('a'), buckets.get('b'))
  t.deepEqual(buckets.get('c'), buckets.get('b'), 'without a limit of its own it shares theirs')
  t.deepEqual(
    buckets.get('a')?.map(({ limit }) => limit),
    [
      { perSecond: 4, burst: 4 },
      { perSecond: 1, burst: 60 },
    ],
  )
  const names = ['a', 'd', 'e'].map((name) => buckets.get(name)?.[0]?.bucket)
  t.is(new Set(names).size, 3)
  t.false(buckets.has('f'))
  t.is(sharedBuckets([{ ...api('p', 'env:T'), source: { type: 'github', options: null } }]).size, 0)
})

test('a bucket is named after references alone, so it is the same on every machine', (t) => {
  const [bucket] = sharedBuckets([api('a', 'env:T', { requestsPerSecond: 1 })]).get('a') ?? []
  t.regex(bucket?.bucket ?? '', /^http:[0-9a-f]{32}:second$/)
})

test('pipelines of one worker that share a bucket share one line, and a request passes all limits', async (t) => {
  const asked: string[] = []
  const admissions = createAdmissions(
    [
      api('a', 'env:T', { requestsPerSecond: 100, requestsPerHour: 1_000_000 }),
      api('b', 'env:T', { requestsPerSecond: 100 }),
    ],
    {
      catalog: {
        takeTokens: async (bucket, want) => {
          asked.push(bucket.split(':')[2]!)
          return { granted: want, waitMs: 0 }
        },
      },
      clock: { ...systemClock, monotonic: () => 0 },
      random: systemRandom,
      logger: silentLogger,
      workers: () => 1,
    },
  )
  const { signal } = new AbortController()
  await admissions.get('a')!.admit(signal)
  t.deepEqual(asked, ['second', 'hour'])
  await admissions.get('b')!.admit(signal)
  await admissions.get('b')!.admit(signal)
  t.deepEqual(asked, ['second', 'hour', 'second', 'hour'], 'the third request used what was left')
})
