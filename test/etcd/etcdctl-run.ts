/** Runs etcdctl as a process and looks at what it said. */
import { strict as assert } from 'node:assert'
import { spawn } from 'node:child_process'
import { join } from 'node:path'

export type Ran = { readonly code: number | null; readonly out: string; readonly err: string }

/** A command that goes on until it is ended. */
export type Running = {
  /** Resolves once its output matches. */
  until(pattern: RegExp): Promise<string>
  /** Sends it input. */
  input(text: string): void
  /** Says that no more input comes. */
  finish(): void
  /** Asks it to end, as Ctrl-C does. */
  interrupt(): Promise<Ran>
  readonly ran: Promise<Ran>
}

export type Etcdctl = {
  readonly endpoint: string
  readonly run: (args: readonly string[], input?: string) => Promise<Ran>
  /** Runs it, wants exit code 0, gives its output. */
  readonly ok: (args: readonly string[], input?: string) => Promise<string>
  /** Runs it, wants it to fail with this text. */
  readonly fails: (args: readonly string[], text: string) => Promise<void>
  readonly start: (args: readonly string[]) => Running
  readonly file: (name: string) => string
  /** Waits until the server answers, up to half a minute. */
  readonly waitHealthy: () => Promise<void>
}

const UNTIL_MS = 20_000

export function createEtcdctl(endpoint: string, folder: string): Etcdctl {
  const start = (args: readonly string[]): Running => launch(endpoint, args)
  const run = (args: readonly string[], input?: string): Promise<Ran> => {
    const running = start(args)
    if (input !== undefined) running.input(input)
    running.finish()
    return running.ran
  }
  const ok = async (args: readonly string[], input?: string): Promise<string> => {
    const { code, out, err } = await run(args, input)
    assert.equal(code, 0, `etcdctl ${args.join(' ')} exited ${code}: ${err}${out}`)
    return out
  }
  return {
    endpoint,
    run,
    ok,
    start,
    fails: async (args, text) => {
      const { code, out, err } = await run(args)
      assert.notEqual(code, 0, `etcdctl ${args.join(' ')} succeeded: ${out}`)
      assert.ok(`${out}${err}`.includes(text), `wanted "${text}" in: ${out}${err}`)
    },
    file: (name) => join(folder, name),
    waitHealthy: async () => {
      for (let attempt = 0; attempt < 6; attempt += 1)
        if ((await run(['endpoint', 'health'])).code === 0) return
      throw new Error(`no answer from ${endpoint}`)
    },
  }
}

function launch(endpoint: string, args: readonly string[]): Running {
  const child = spawn('etcdctl', [`--endpoints=${endpoint}`, ...args], {
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ETCDCTL_API: '3' },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  let out = ''
  let err = ''
  const lookers = new Set<() => void>()
  const look = (): void => {
    for (const each of lookers) each()
  }
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString()
    look()
  })
  child.stderr.on('data', (chunk: Buffer) => {
    err += chunk.toString()
  })
  child.stdin.on('error', () => {})
  const ran = new Promise<Ran>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => {
      resolve({ code, out, err })
      look()
    })
  })
  return {
    ran,
    input: (text) => void child.stdin.write(text),
    finish: () => void child.stdin.end(),
    until: (pattern) =>
      new Promise((resolve, reject) => {
        const give = (): void => {
          const isOver = child.exitCode !== null
          if (!pattern.test(out) && !isOver) return
          lookers.delete(give)
          clearTimeout(timer)
          if (pattern.test(out)) resolve(out)
          else reject(new Error(`etcdctl ${args.join(' ')} ended without ${pattern}: ${out}${err}`))
        }
        const timer = setTimeout(() => {
          child.kill('SIGKILL')
          reject(new Error(`etcdctl ${args.join(' ')} never said ${pattern}: ${out}${err}`))
        }, UNTIL_MS)
        lookers.add(give)
        give()
      }),
    interrupt: () => {
      child.kill('SIGINT')
      return ran
    },
  }
}
