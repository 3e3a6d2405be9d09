/** `hakiri connector list|check`. */
import type { Finding } from '../../connector/connector.ts'
import type { CommandRun } from '../command.ts'
import { CONNECTOR_SUMMARIES } from '../connectors.ts'
import { EXIT } from '../exit.ts'
import { formatTable } from '../output.ts'
import { openProject } from '../project.ts'

export const connectorList: CommandRun = async () => {
  const rows = Object.entries(CONNECTOR_SUMMARIES).map(([type, summary]) => ({ type, summary }))
  return {
    result: rows,
    summary: `${rows.length} connectors; next: hakiri connector check`,
    text: formatTable(
      ['type', 'reads'],
      rows.map((row) => [row.type, row.summary]),
    ),
  }
}

export const connectorCheck: CommandRun = async ({ args, globals }, io) => {
  const project = await openProject(globals, io)
  const found: { pipeline: string; findings: readonly Finding[] }[] = []
  for (const pipeline of project.pipelines((args[0] as readonly string[] | undefined) ?? [])) {
    const connector = await project.connector(pipeline)
    const findings = await connector.check(
      project.connectorHost(pipeline)(io.stop, () => undefined, 1e6),
    )
    found.push({ pipeline: pipeline.name, findings })
  }
  const errors = found
    .flatMap((entry) => entry.findings)
    .filter((finding) => finding.severity === 'error')
  return {
    result: found.map((entry) => ({
      pipeline: entry.pipeline,
      findings: entry.findings.map((finding) => ({ ...finding })),
    })),
    summary:
      errors.length === 0 ? `✓ ${found.length} source(s) answer` : `✗ ${errors.length} problem(s)`,
    text: found
      .map((entry) => `${entry.pipeline}\n${entry.findings.map(findingLine).join('\n')}`)
      .join('\n'),
    exitCode: errors.length > 0 ? EXIT.environment : EXIT.done,
  }
}

export function findingLine(finding: Finding): string {
  const glyph = { ok: '✓', warn: '⚠', error: '✗' }[finding.severity]
  return `  ${glyph} ${finding.message}${finding.suggestion === undefined ? '' : `\n    → ${finding.suggestion}`}`
}
