/** The workers of a chaos run, one a host: `hakiri serve` with a session of three seconds. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { EXIT } from '../../../cli/exit.ts'
import type { Host } from '../hosts/lab.ts'
import type { Timeline } from '../timeline.ts'
import { createActor, type Actor, type Command } from './actor.ts'
import type { Program } from './program.ts'

export type ChaosWorker = {
  readonly actor: Actor
  /** The program it is run as from its next start on. */
  runAs(program: Program): void
}

export type WorkerOptions = {
  readonly host: Host
  readonly folder: string
  readonly program: Program
  readonly endpoints: readonly string[]
  /** Catalog, sources, keys of the bucket: what references in the manifest resolve to. */
  readonly env: Readonly<Record<string, string>>
  readonly timeline: Timeline
  problem(text: string): void
}

export const SESSION_TTL_MS = 3_000
/** A clean stop hands everything back; SIGTERM must be over after that and a little. */
export const STOP_MS = 20_000
const MEMORY = '64MB'
const SLOTS = '3'

export async function createWorker(options: WorkerOptions): Promise<ChaosWorker> {
  const { host, folder, timeline } = options
  const own = join(folder, host.name)
  await mkdir(own, { recursive: true })
  const actor = createActor({
    name: host.name,
    host,
    command: commandOf(options, options.program, own),
    folder,
    timeline,
    // The catalog may be away when it starts; a service manager tries again.
    excused: [EXIT.environment],
    problem: options.problem,
  })
  return {
    actor,
    runAs(program) {
      actor.command = commandOf(options, program, own)
    },
  }
}

function commandOf(
  { host, endpoints, env }: WorkerOptions,
  { command: [program, ...first], env: ofProgram }: Program,
  folder: string,
): Command {
  const words = ['serve', '--json', '--name', host.name, '--port', '0']
  const settings = {
    coord: endpoints.join(','),
    'session-ttl': `${SESSION_TTL_MS}ms`,
    slots: SLOTS,
    memory: MEMORY,
    'drain-timeout': '10s',
  }
  return {
    program,
    args: [
      ...first,
      ...words,
      ...Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]),
    ],
    env: { ...ofProgram, ...env, NO_COLOR: '1' },
    cwd: folder,
  }
}
