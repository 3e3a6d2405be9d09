/** Names of segments: their place in the log, and the first index they may hold, both in hexadecimal. */

export type SegmentName = { readonly sequence: number; readonly firstIndex: number }

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0')

export function segmentName({ sequence, firstIndex }: SegmentName): string {
  return `${hex(sequence, 8)}-${hex(firstIndex, 14)}.wal`
}

/** Undefined for a file that is no segment. */
export function parseSegmentName(name: string): SegmentName | undefined {
  const match = /^([0-9a-f]{8,13})-([0-9a-f]{14})\.wal$/.exec(name)
  if (!match) return undefined
  return { sequence: parseInt(match[1]!, 16), firstIndex: parseInt(match[2]!, 16) }
}
