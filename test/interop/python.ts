/** A Python with foreign Delta readers, in an environment of its own that goes away again. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { TableSummary } from './summary.ts'

const run = promisify(execFile)
const SCRIPT = fileURLToPath(new URL('./summary.py', import.meta.url))
const PACKAGES = ['deltalake>=1', 'polars>=1', 'pyarrow']
const INSTALL_MS_MAX = 180_000
const READ_MS_MAX = 300_000
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024

export type ForeignSummary = Partial<TableSummary> & {
  readonly folder: string
  readonly reader: string
  readonly error?: string
}

/** The interpreter, or the sentence that says why there is none. */
export async function installReaders(
  folder: string,
): Promise<{ readonly python: string } | { readonly reason: string }> {
  const environment = join(folder, 'python')
  const python = join(environment, 'bin/python')
  try {
    await run('python3', ['-m', 'venv', environment], { timeout: INSTALL_MS_MAX })
  } catch (error) {
    return { reason: `python3 with venv is not available (${lastLine(error)})` }
  }
  try {
    const options = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check']
    await run(python, [...options, ...PACKAGES], { timeout: INSTALL_MS_MAX })
  } catch (error) {
    return { reason: `deltalake and polars cannot be installed (${lastLine(error)})` }
  }
  return { python }
}

/** What every foreign reader saw of every table. */
export async function readWith(
  python: string,
  folders: readonly string[],
): Promise<ForeignSummary[]> {
  const { stdout } = await run(python, [SCRIPT, ...folders], {
    timeout: READ_MS_MAX,
    maxBuffer: OUTPUT_BYTES_MAX,
  })
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as ForeignSummary)
}

function lastLine(error: unknown): string {
  const { stderr, message } = error as { stderr?: string; message: string }
  return (stderr ?? '').trim().split('\n').at(-1) || message
}
