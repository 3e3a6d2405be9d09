/**
 * `npm run check`: everything that is quick and writes nothing. Each check is a program that exits
 * with 0 when all is well; what a failing one said is printed whole.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { closingLine } from './tap.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const bin = (name: string): string => `${root}node_modules/.bin/${name}`

type Check = { readonly name: string; readonly command: readonly [string, ...string[]] }

const CHECKS: readonly Check[] = [
  { name: 'formatting', command: [bin('prettier'), '--log-level', 'warn', '--check', '.'] },
  {
    name: 'lint',
    command: [bin('oxlint'), '--type-aware', '--deny-warnings', '-c', '.oxlintrc.json'],
  },
  { name: 'types', command: [bin('tsc'), '-p', '.'] },
  { name: 'unused code', command: [bin('knip'), '--no-progress'] },
  { name: 'house rules', command: [bin('ava'), 'test/tidy.test.ts'] },
  ...(existsSync(`${root}cli/generate.ts`)
    ? [
        {
          name: 'generated files',
          command: [process.execPath, 'cli/generate.ts', '--check'],
        } as const,
      ]
    : []),
]

const OUTPUT_BYTES_MAX = 64 * 1024 * 1024

/** The output of a failing check, undefined for a passing one. */
function runCheck({ command: [program, ...args] }: Check): Promise<string | undefined> {
  const options = { cwd: root, maxBuffer: OUTPUT_BYTES_MAX }
  return new Promise((resolve) => {
    execFile(program, args, options, (error, stdout, stderr) => {
      resolve(error ? `${stdout}${stderr}` || error.message : undefined)
    })
  })
}

const tally = { passed: 0, failed: 0, skipped: 0 }
for (const check of CHECKS) {
  const started = performance.now()
  const output = await runCheck(check)
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  tally[output === undefined ? 'passed' : 'failed']++
  console.log(`${output === undefined ? '✓' : '✗'} ${check.name} (${seconds} s)`)
  if (output !== undefined) console.log(`\n${output.trimEnd()}\n`)
}
console.log(closingLine(tally))
process.exitCode = tally.failed > 0 ? 1 : 0
