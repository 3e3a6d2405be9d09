/**
 * The S3 server as a program on a host of its own, its objects on disk, its faults switched from outside.
 *
 *     node bucket-server.ts --address=H --port=P --control=PLACE --folder=F --seed=N
 */
import { parseArgs } from 'node:util'
import { mulberry } from '../../cluster/random.ts'
import { type Fault, startS3Stub, type StubSettings } from '../../support/s3-stub.ts'
import { openDiskBucket } from './bucket-disk.ts'
import { serveControl } from './control.ts'

/** What is wrong with the bucket from now on; everything that is not named works. */
export type BucketMood = {
  readonly faults?: readonly Fault[]
  readonly settings?: Partial<Pick<StubSettings, 'conditional' | 'latencyMs'>>
}

export type BucketState = {
  readonly requests: number
  /** Requests that met a fault, by its kind. */
  readonly faults: Readonly<Record<string, number>>
}

const LOG_MAX = 10_000
const SOUND = { conditional: 'honoured', latencyMs: 0 } as const

if (import.meta.main) await main()

async function main(): Promise<void> {
  const text = { type: 'string' } as const
  const { values } = parseArgs({
    options: { address: text, port: text, control: text, folder: text, seed: text },
  })
  const stub = await startS3Stub({
    host: values.address ?? '127.0.0.1',
    port: Number(values.port ?? 0),
    open: () => openDiskBucket(values.folder ?? ''),
    random: mulberry(Number(values.seed ?? 1)),
    logMax: LOG_MAX,
  })
  await serveControl(values.control ?? '', {
    '/state': (): BucketState => {
      const faults: Record<string, number> = {}
      for (const { fault } of stub.log) if (fault) faults[fault] = (faults[fault] ?? 0) + 1
      return { requests: stub.log.length, faults }
    },
    '/mood': (body) => {
      const mood = body as BucketMood
      stub.clearFaults()
      for (const fault of mood.faults ?? []) stub.fault(fault)
      stub.set({ ...SOUND, ...mood.settings })
    },
  })
}
