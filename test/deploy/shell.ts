/** Runs programs to their end; one that fails throws with everything that it said. */
import { spawn } from 'node:child_process'

export type RunOptions = {
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  readonly input?: string
  readonly timeoutMs?: number
  /** Exit codes that are no failure; 0 unless told. */
  readonly codes?: readonly number[]
  /** Called for each piece of output. */
  readonly onOutput?: (text: string) => void
}

export type Ran = { readonly code: number; readonly stdout: string; readonly stderr: string }

const TIMEOUT_MS = 60_000
const OUTPUT_CHARS_MAX = 16_000_000

/** Nothing here may hang: whatever takes longer than its time is killed and has failed. */
export async function run(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Ran> {
  const { codes = [0], timeoutMs = TIMEOUT_MS } = options
  const child = spawn(program, args, {
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    env: { ...process.env, ...options.env },
    stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
  })
  let stdout = ''
  let stderr = ''
  const add = (text: string, chunk: string): string => (text + chunk).slice(-OUTPUT_CHARS_MAX)
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
    stdout = add(stdout, chunk)
    options.onOutput?.(chunk)
  })
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => (stderr = add(stderr, chunk)))
  child.stdin?.end(options.input)
  const code = await new Promise<number>((resolve, reject) => {
    child.once('error', reject)
    // Not "close": a background process of ssh may keep the pipes.
    child.once('exit', (exit, signal) =>
      signal === null
        ? setImmediate(resolve, exit ?? 1)
        : reject(
            new Error(
              `${program} ${args.join(' ')}: ${signal} after ${timeoutMs} ms at most\n${stdout}\n${stderr}`,
            ),
          ),
    )
  })
  if (!codes.includes(code))
    throw new Error(`${program} ${args.join(' ')} ended with ${code}\n${stdout}\n${stderr}`)
  return { code, stdout, stderr }
}
