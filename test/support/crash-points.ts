/** The points of the commit path at which a test ends or stops a process, and the ports that come to them. */
import type { Encoder } from '../../sink/encoder/encoder.ts'
import type { ObjectStore } from '../../sink/store/store.ts'

/** The six points: before and after each thing that becomes durable. */
export const CRASH_POINTS = [
  'before-encode',
  'before-upload',
  'before-commit',
  'after-commit',
  'before-log-put',
  'after-log-put',
] as const
export type CrashPoint = (typeof CRASH_POINTS)[number]
/** Told each time that a process comes to a point. */
export type ReachPoint = (point: CrashPoint) => void

/** Comes to its points before an upload, and around each version of a table log. */
export function crashingStore(store: ObjectStore, reach: ReachPoint): ObjectStore {
  return {
    ...store,
    async putFile(key, path) {
      reach('before-upload')
      await store.putFile(key, path)
    },
    async put(key, body, options) {
      const isLog = /_delta_log\/\d+\.json$/.test(key)
      if (isLog) reach('before-log-put')
      const outcome = await store.put(key, body, options)
      if (isLog) reach('after-log-put')
      return outcome
    },
  }
}

/** Comes to its point before it encodes. */
export function crashingEncoder(encoder: Encoder, reach: ReachPoint): Encoder {
  return {
    ...encoder,
    async encode(job, signal) {
      reach('before-encode')
      return encoder.encode(job, signal)
    },
  }
}
