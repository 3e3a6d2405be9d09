/** Writes the generated files, or with --check fails when one is stale. */
import { readFile, writeFile } from 'node:fs/promises'
import { CODES } from '../lib/error.ts'
import { renderJsonSchema } from '../manifest/json-schema.ts'
import { renderCodecs } from '../proto/generate.ts'

const FILES: Readonly<Record<string, () => string>> = {
  'docs/errors.md': errorsPage,
  'manifest/hakiri.schema.json': renderJsonSchema,
  ...Object.fromEntries(renderCodecs().map(({ path, text }) => [path, () => text])),
}

const stale: string[] = []
for (const [name, render] of Object.entries(FILES)) {
  const url = new URL(`../${name}`, import.meta.url)
  const text = render()
  if (process.argv.includes('--check')) {
    if ((await readFile(url, 'utf8').catch(() => '')) !== text) stale.push(name)
  } else {
    await writeFile(url, text)
  }
}
if (stale.length > 0) {
  process.stderr.write(`stale: ${stale.join(', ')}; run \`npm run generate\`\n`)
  process.exitCode = 1
}

function errorsPage(): string {
  const rows = Object.entries(CODES).map(
    ([code, { exit, http, grpc, retry, meaning }]) =>
      `| \`${code}\` | ${meaning} | ${retry} | ${exit} | ${http} | ${grpc} |`,
  )
  return [
    '# Error codes',
    '',
    'Generated from `lib/error.ts`. The code of an error is stable; its message is for people and may change.',
    '',
    'Retry says how a failure behaves over time: `transient` and `rate` are tried again with growing, jittered',
    'waits; `auth`, `data` and `fatal` stop the shard, not the others.',
    '',
    '| code | meaning | retry | exit | HTTP | gRPC |',
    '|---|---|---|---|---|---|',
    ...rows,
    '',
    '## Exit codes',
    '',
    '| code | meaning |',
    '|---|---|',
    '| 0 | done |',
    '| 1 | runtime failure; a run with failed shards |',
    '| 2 | invalid input or configuration |',
    '| 3 | environment: unreachable, refused, no room |',
    '| 4 | `plan --check` found changes |',
    '| 128+n | stopped by signal n before the work was done: after a clean drain, or at once the second time |',
    '',
  ].join('\n')
}
