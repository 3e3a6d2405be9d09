/** What is wrong with a manifest, and where: the one shape that every check of this folder reports. */
import type { Code } from '../lib/error.ts'

/** A path of object keys and list indexes, from the top of a file. */
export type Path = readonly (string | number)[]

export type ProblemText = {
  readonly message: string
  /** What to do next, one imperative sentence. */
  readonly suggestion: string | undefined
}

export type Problem = ProblemText & {
  readonly code: Extract<Code, `CONFIG_${string}`>
  /** Absolute path. */
  readonly file: string
  /** Both count from 1. */
  readonly line: number
  readonly column: number
  /**
   * As one would write it in TOML: `pipelines.shop.table."public.events".shard_by`. Empty when the file
   * as a whole is meant.
   */
  readonly key: string
}

/** Lines and columns count from 1. */
export type Position = { readonly line: number; readonly column: number }

export const START: Position = { line: 1, column: 1 }

export function problemAt(
  file: string,
  at: Position,
  path: Path,
  code: Problem['code'],
  text: ProblemText,
): Problem {
  const { message, suggestion } = text
  return {
    code,
    message,
    suggestion,
    file,
    line: at.line,
    column: at.column,
    key: formatPath(path),
  }
}

/** `["a", "b.c", 0]` → `a."b.c"[0]`. */
export function formatPath(path: Path): string {
  let text = ''
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`
    else text += (text ? '.' : '') + (/^[\w-]+$/.test(part) ? part : JSON.stringify(part))
  }
  return text
}

/**
 * Orders problems as a reader meets them: by file as loaded, then from top to bottom. Of several at one
 * key the first found stays: later checks only stumble over the same mistake.
 */
export function sortProblems(problems: readonly Problem[], files: readonly string[]): Problem[] {
  const seen = new Set<string>()
  const first = problems.filter(({ file, line, column, key }) => {
    const place = JSON.stringify([file, line, column, key])
    if (key !== '' && seen.has(place)) return false
    seen.add(place)
    return true
  })
  const rank = ({ file }: Problem): number => {
    const index = files.indexOf(file)
    return index === -1 ? files.length : index
  }
  return first.toSorted((a, b) => rank(a) - rank(b) || a.line - b.line || a.column - b.column)
}
