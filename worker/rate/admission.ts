/** What the connectors of all pipelines of one worker ask before each request. */
import type { ConnectorContext } from '../../connector/connector.ts'
import { sharedBuckets, type Limited } from './buckets.ts'
import { createSharedLimit, type SharedLimit, type SharedLimitDeps } from './shared-limit.ts'

export type Admission = Required<Pick<ConnectorContext, 'admit' | 'slowDown'>>

/** By name of the pipeline; pipelines without a limit are missing. */
export function createAdmissions(
  pipelines: readonly Limited[],
  deps: SharedLimitDeps,
): ReadonlyMap<string, Admission> {
  const limits = new Map<string, SharedLimit>()
  const admissions = new Map<string, Admission>()
  for (const [pipeline, buckets] of sharedBuckets(pipelines)) {
    const own = buckets.map(({ bucket, limit }) => {
      const shared = limits.get(bucket) ?? createSharedLimit(bucket, limit, deps)
      limits.set(bucket, shared)
      return shared
    })
    admissions.set(pipeline, admissionOf(own))
  }
  return admissions
}

/** A request passes all limits. */
function admissionOf(limits: readonly SharedLimit[]): Admission {
  return {
    async admit(signal) {
      for (const limit of limits) await limit.take(signal)
    },
    slowDown(ms) {
      for (const limit of limits) limit.pause(ms)
    },
  }
}
