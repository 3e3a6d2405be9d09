/** Reads one entry of `partition_by`. */
import type { PartitionField, PartitionTransform } from '../lib/policy.ts'

export const TRANSFORMS: readonly PartitionTransform[] = [
  'identity',
  'year',
  'month',
  'day',
  'hour',
]

/** `"day(created_at)"` or `"country"`; undefined when it is neither. */
export function parsePartition(text: string): PartitionField | undefined {
  const call = splitCall(text)
  if (!call) return /[()]/.test(text) ? undefined : { transform: 'identity', column: text }
  const transform = TRANSFORMS.find((known) => known === call.name)
  return transform && { transform, column: call.column }
}

/** The two parts of `name(column)`. */
export function splitCall(
  text: string,
): { readonly name: string; readonly column: string } | undefined {
  const match = /^\s*([^()\s]*)\s*\(\s*([^()]+?)\s*\)\s*$/.exec(text)
  return match ? { name: match[1]!, column: match[2]! } : undefined
}
