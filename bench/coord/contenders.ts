/**
 * The clusters that are measured beside each other: ours as the bundle runs it, ours once more as the
 * control, and etcd. Each is started fresh for a measurement, with its defaults, on the same disk.
 */
import { build } from 'esbuild'
import { mkdir } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { startEtcd } from '../../test/etcd/start-etcd.ts'
import { startCoordCluster } from '../../test/support/coord-cluster.ts'
import { BUNDLE_OPTIONS } from '../../test/support/bundle-options.ts'

export type BenchMember = {
  readonly endpoint: string
  pid(): number | undefined
  start(): Promise<void>
  kill(): Promise<void>
}

export type BenchCluster = AsyncDisposable & { readonly members: readonly BenchMember[] }

export type Contender = {
  readonly name: string
  start(members: 1 | 3): Promise<BenchCluster>
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
/** Below node_modules, so that what stays outside of the bundle is found. */
const OUT = `${ROOT}node_modules/.cache/hakiri-bundle`

/** Flags of the runtime that docs/operating.md recommends for a coordinator. */
export const RUNTIME_FLAGS: readonly string[] = ['--max-semi-space-size=8']
export const RUNTIME_ENV: Readonly<Record<string, string>> = {
  MALLOC_ARENA_MAX: '1',
  UV_THREADPOOL_SIZE: '2',
}

/** Bundles the command line as the artifact does; gives the command that runs it. */
export async function bundleHakiri(): Promise<readonly [string, ...string[]]> {
  await mkdir(OUT, { recursive: true })
  await build({
    ...BUNDLE_OPTIONS,
    absWorkingDir: ROOT,
    entryPoints: ['cli/main.ts'],
    outdir: OUT,
    minify: true,
  })
  return [`${ROOT}node_modules/.bin/node`, ...RUNTIME_FLAGS, `${OUT}/main.mjs`]
}

export function hakiri(
  name: string,
  command: readonly [string, ...string[]],
  args: readonly string[] = [],
): Contender {
  return {
    name,
    async start(members) {
      const cluster = await startCoordCluster({ members, command, args, env: RUNTIME_ENV })
      return {
        members: cluster.members.map((member) => ({
          endpoint: member.endpoint,
          pid: () => member.pid(),
          start: () => member.start(),
          kill: async () => void (await member.signal('SIGKILL')),
        })),
        [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
      }
    },
  }
}

export const etcd: Contender = {
  name: 'etcd 3.4.23',
  start: (members) => startEtcd({ size: members }),
}
