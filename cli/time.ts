/** Times for people. */
import { formatDuration } from '../lib/units.ts'

export function ago(ms: number): string {
  return `${formatDuration(Math.max(0, Date.now() - ms))} ago`
}

export function isoTime(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z')
}
