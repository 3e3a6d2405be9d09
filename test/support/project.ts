/** A Hakiri project in a temp folder, worked on by the real command line as a process. */
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { folderSource, type TableSource } from './delta-reader.ts'

export const HAKIRI: string = fileURLToPath(new URL('../../hakiri', import.meta.url))

export type Ran = {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** The object that --json prints. */
export type Envelope = {
  readonly command: string
  readonly ok: boolean
  readonly summary: string
  readonly result: unknown
  readonly error: {
    readonly code: string
    readonly message: string
    readonly suggestion?: string
  } | null
}

export type Project = AsyncDisposable & {
  readonly folder: string
  /** Environment of every command; add to it freely. */
  readonly env: Record<string, string | undefined>
  write(path: string, text: string | Uint8Array): Promise<void>
  hakiri(...args: readonly string[]): Promise<Ran>
  /** Runs with --json and parses the one object on stdout. */
  json(...args: readonly string[]): Promise<Ran & { readonly envelope: Envelope }>
  start(command: string, ...args: readonly string[]): ChildProcess
  /** A table of the project's local lake. */
  table(name: string): TableSource
}

/** Makes an empty project with this hakiri.toml; gone when disposed. */
export async function createProject(toml: string): Promise<Project> {
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-project-'))
  const env: Project['env'] = { ...process.env, NO_COLOR: '1' }
  await writeFile(join(folder, 'hakiri.toml'), toml)
  const start = (command: string, ...args: readonly string[]): ChildProcess =>
    spawn(command, args, { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] })
  const hakiri = (...args: readonly string[]): Promise<Ran> => finished(start(HAKIRI, ...args))
  return {
    folder,
    env,
    start,
    hakiri,
    async write(path, text) {
      await mkdir(dirname(join(folder, path)), { recursive: true })
      await writeFile(join(folder, path), text)
    },
    async json(...args) {
      const ran = await hakiri(...args, '--json')
      return { ...ran, envelope: parseEnvelope(ran) }
    },
    table: (name) => folderSource(join(folder, 'lake', name.replaceAll('.', '/'))),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  }
}

/** Waits for a process and everything it says. */
export function finished(child: ChildProcess): Promise<Ran> {
  const [stdout, stderr]: [string[], string[]] = [[], []]
  child.stdout?.setEncoding('utf8').on('data', (text: string) => stdout.push(text))
  child.stderr?.setEncoding('utf8').on('data', (text: string) => stderr.push(text))
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) =>
      resolve({ code, signal, stdout: stdout.join(''), stderr: stderr.join('') }),
    )
  })
}

function parseEnvelope(ran: Ran): Envelope {
  try {
    return JSON.parse(ran.stdout) as Envelope
  } catch (cause) {
    throw new Error(`no JSON on stdout (exit ${ran.code}): ${ran.stdout}\n${ran.stderr}`, { cause })
  }
}
