/** The workers of a chaos run, one a host: `hakiri serve` with a short session. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { EXIT } from '../../../cli/exit.ts'
import type { Environment } from '../hosts/environment.ts'
import type { Host } from '../hosts/lab.ts'
import type { Timeline } from '../timeline.ts'
import { keep, type Kept } from './kept.ts'
import type { Program } from './program.ts'

export type ChaosWorker = {
  readonly actor: Kept
  /** The program it is run as from its next start on. */
  runAs(program: Program): void
}

export type WorkerOptions = {
  readonly host: Host
  readonly folder: string
  readonly program: Program
  readonly endpoints: readonly string[]
  /** Catalog, sources, keys of the bucket: what references in the manifest resolve to. */
  readonly env: Environment
  readonly ttlMs: number
  readonly timeline: Timeline
  readonly problem: (text: string) => void
}

/** A worker that is silent for so long loses what it has. */
export const SESSION_TTL_MS = 3_000
/** A clean stop hands everything back; SIGTERM must be over after that and a little. */
export const STOP_MS = 20_000
export const MEMORY_BYTES = 64_000_000
const SLOTS = '3'

export async function createWorker(options: WorkerOptions): Promise<ChaosWorker> {
  const { host, folder, timeline, program } = options
  const own = join(folder, host.name)
  await mkdir(own, { recursive: true })
  const actor = keep({
    name: host.name,
    host,
    program: program.node,
    args: argsOf(options, program),
    env: { ...program.env, ...options.env, NO_COLOR: '1' },
    cwd: own,
    timeline,
    // The catalog may be away when it starts; a service manager tries again.
    excused: [EXIT.environment],
    problem: options.problem,
  })
  return {
    actor,
    runAs(next) {
      actor.args = argsOf(options, next)
    },
  }
}

function argsOf({ host, endpoints, ttlMs }: WorkerOptions, { main }: Program): readonly string[] {
  const settings = {
    name: host.name,
    port: '0',
    coord: endpoints.join(','),
    'session-ttl': `${ttlMs}ms`,
    slots: SLOTS,
    memory: `${MEMORY_BYTES / 1_000_000}MB`,
    'drain-timeout': '10s',
  }
  return [
    ...main,
    'serve',
    '--json',
    ...Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]),
  ]
}
