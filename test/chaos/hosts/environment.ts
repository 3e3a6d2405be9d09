/** Puts together what several faults want in one program's environment. */

/** Preload libraries and options of Node add up; of anything else the last one counts. */
export function mergeEnvironments(
  ...parts: readonly Readonly<Record<string, string>>[]
): Readonly<Record<string, string>> {
  const merged: Record<string, string> = {}
  for (const part of parts)
    for (const [name, value] of Object.entries(part)) {
      const before = merged[name]
      const separator = SEPARATORS.get(name)
      merged[name] =
        separator === undefined || before === undefined ? value : `${before}${separator}${value}`
    }
  return merged
}

const SEPARATORS: ReadonlyMap<string, string> = new Map([
  ['LD_PRELOAD', ':'],
  ['NODE_OPTIONS', ' '],
])
