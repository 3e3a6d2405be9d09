/**
 * Which requests share a limit: those that one credential makes of one API, whatever pipeline they are
 * of. Pure.
 *
 * Invariant: a bucket's name tells nothing of a secret. It is a hash of the reference to the secret
 * (`env:TOKEN`), never of its value, so that it may stand in the catalog.
 */
import { createHash } from 'node:crypto'
import type { RateLimit } from '../../catalog/cluster.ts'
import { stableStringify, type Json } from '../../lib/json.ts'
import type { Pipeline } from '../../manifest/manifest.ts'

export type LimitedBucket = { readonly bucket: string; readonly limit: RateLimit }

/** What a pipeline's limits are made of. */
export type Limited = Pick<Pipeline, 'name' | 'source' | 'limits'>

/**
 * The buckets that each pipeline's requests take a token of. Pipelines that share a bucket share the
 * lowest limit that any of them names; those without limits, or without requests, are missing.
 */
export function sharedBuckets(
  pipelines: readonly Limited[],
): ReadonlyMap<string, readonly LimitedBucket[]> {
  const lowest = new Map<string, RateLimit>()
  for (const { bucket, limit } of pipelines.flatMap(ownBuckets)) {
    const before = lowest.get(bucket)
    if (!before || limit.perSecond < before.perSecond) lowest.set(bucket, limit)
  }
  const shared = pipelines.map((pipeline) => {
    const buckets = bucketNames(pipeline).flatMap((bucket) => {
      const limit = lowest.get(bucket)
      return limit ? [{ bucket, limit }] : []
    })
    return [pipeline.name, buckets] as const
  })
  return new Map(shared.filter(([, buckets]) => buckets.length > 0))
}

function ownBuckets(pipeline: Limited): readonly LimitedBucket[] {
  const [second, hour] = bucketNames(pipeline)
  const { requestsPerSecond, requestsPerHour } = pipeline.limits
  const buckets: LimitedBucket[] = []
  if (second !== undefined && requestsPerSecond !== undefined) {
    const limit = { perSecond: requestsPerSecond, burst: Math.max(1, Math.ceil(requestsPerSecond)) }
    buckets.push({ bucket: second, limit })
  }
  if (hour !== undefined && requestsPerHour !== undefined) {
    // An hour's allowance is spread out: a minute's worth may go at once.
    const burst = Math.max(1, Math.ceil(requestsPerHour / 60))
    buckets.push({ bucket: hour, limit: { perSecond: requestsPerHour / 3600, burst } })
  }
  return buckets
}

/** One by the second and one by the hour, for sources that are asked over HTTP. */
function bucketNames({ source }: Limited): readonly string[] {
  if (source.type !== 'http') return []
  const { base, auth } = source
  // Paths of one API share what it allows; a base that is a reference stands for itself.
  const api = URL.canParse(base) ? new URL(base).origin : base
  const credential: Json = { api, auth: auth ?? null }
  const hash = createHash('sha256').update(stableStringify(credential)).digest('hex').slice(0, 32)
  return [`http:${hash}:second`, `http:${hash}:hour`]
}
