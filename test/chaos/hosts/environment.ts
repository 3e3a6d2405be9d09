/** Puts together what several faults want in one program's environment. */

/** A variable that is undefined is not there. */
export type Environment = Readonly<Record<string, string | undefined>>

/** Preload libraries and options of Node add up; of anything else the last one counts. */
export function mergeEnvironments(...parts: readonly Environment[]): Environment {
  const merged: Record<string, string | undefined> = {}
  for (const part of parts)
    for (const [name, value] of Object.entries(part)) {
      const before = merged[name]
      const separator = SEPARATORS.get(name)
      merged[name] =
        separator === undefined || !before || !value ? value : `${before}${separator}${value}`
    }
  return merged
}

const SEPARATORS: ReadonlyMap<string, string> = new Map([
  ['LD_PRELOAD', ':'],
  ['NODE_OPTIONS', ' '],
])
