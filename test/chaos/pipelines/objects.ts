/**
 * What was written to the bucket, by its journal: a data file and a version of a log are written once, or
 * again with the same bytes. Holds whatever the bucket said of conditional writes. Pure.
 */
import type { JournalEntry } from './bucket-disk.ts'
import { named, type Problem } from './problem.ts'

/** Keys whose content was replaced by another one. */
export function auditObjects(journal: readonly JournalEntry[]): readonly Problem[] {
  const first = new Map<string, string>()
  const rewritten = new Set<string>()
  for (const entry of journal) {
    if (!isFixed(entry.key)) continue
    if (entry.kind === 'delete') continue
    const before = first.get(entry.key)
    // A name means one thing for ever, deleted in between or not.
    if (before !== undefined && before !== entry.etag) rewritten.add(entry.key)
    first.set(entry.key, before ?? entry.etag)
  }
  return rewritten.size === 0
    ? []
    : [{ check: 'object-rewritten', text: named('objects', [...rewritten]) }]
}

/** Checkpoints and the hint to the newest one may be made anew; probes of the store are no content. */
function isFixed(key: string): boolean {
  return /\/_delta_log\/\d{20}\.json$/.test(key) || (isData(key) && !key.includes('/_delta_log/'))
}

function isData(key: string): boolean {
  return key.endsWith('.parquet')
}

/** Bytes of files that were written and that no version of any table names. */
export function orphansOf(
  objects: readonly { readonly key: string; readonly bytes: number }[],
  referenced: ReadonlySet<string>,
): { readonly files: number; readonly bytes: number } {
  const orphans = objects.filter(
    ({ key }) => isData(key) && !key.includes('_delta_log/') && !referenced.has(key),
  )
  return { files: orphans.length, bytes: orphans.reduce((sum, { bytes }) => sum + bytes, 0) }
}
