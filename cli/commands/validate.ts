/** `hakiri validate`: every problem of the configuration at once. */
import { relative } from 'node:path'
import type { Json } from '../../lib/json.ts'
import { loadManifest } from '../../manifest/load.ts'
import type { Problem } from '../../manifest/problem.ts'
import type { CommandRun } from '../command.ts'
import { EXIT } from '../exit.ts'
import { manifestAt } from '../manifest-at.ts'

export const validate: CommandRun = async ({ globals }) => {
  const loaded = await loadManifest(manifestAt(globals.config))
  const warnings = loaded.warnings.map((warning) => describe(warning, '⚠'))
  if (loaded.ok) {
    const pipelines = Object.keys(loaded.manifest.pipelines)
    return {
      result: { valid: true, pipelines, warnings: loaded.warnings.map(toJson), problems: [] },
      summary: `✓ ${loaded.manifest.files.length} file(s), ${pipelines.length} pipeline(s)`,
      text: warnings.join('\n'),
    }
  }
  const problems = loaded.problems.map((problem) => describe(problem, '✗'))
  return {
    result: {
      valid: false,
      pipelines: [],
      warnings: loaded.warnings.map(toJson),
      problems: loaded.problems.map(toJson),
    },
    summary: `${loaded.problems.length} problem(s)`,
    text: [...problems, ...warnings].join('\n'),
    exitCode: EXIT.input,
  }
}

function describe(
  { file, line, column, key, code, message, suggestion }: Problem,
  glyph: string,
): string {
  const where = `${relative(process.cwd(), file)}:${line}:${column}${key === '' ? '' : ` (${key})`}`
  return `${glyph} ${where}\n  ${code}: ${message}${suggestion === undefined ? '' : `\n  → ${suggestion}`}`
}

function toJson(problem: Problem): Json {
  return { ...problem, suggestion: problem.suggestion ?? null }
}
