/** Who this worker is, for its cluster. */
import { createHash } from 'node:crypto'
import { readFile, readlink } from 'node:fs/promises'
import { hostname } from 'node:os'
import type { WorkerIdentity } from '../../lease/coordination.ts'
import { PROTOCOL } from '../../lease/protocol.ts'
import { systemClock, systemRandom } from '../../lib/system/clock.ts'
import { version } from '../version.ts'
import type { ServeOptions } from './settings.ts'

/** A worker holds this many units for each slot at the most. */
const UNITS_PER_SLOT = 10_000

export async function identityOf(options: ServeOptions, address: string): Promise<WorkerIdentity> {
  return {
    name: options.name,
    incarnation: systemRandom.uuid(),
    machine: await machineOf(),
    pid: process.pid,
    address,
    slots: options.slots,
    unitsMax: options.slots * UNITS_PER_SLOT,
    labels: options.labels,
    version: version(),
    protocol: PROTOCOL,
    startedAt: systemClock.now(),
  }
}

/** This boot of this machine, and this container of it: process ids mean something within it only. */
async function machineOf(): Promise<string> {
  const read = (path: string): Promise<string> => readFile(path, 'utf8').catch(() => '')
  const parts = [
    await read('/proc/sys/kernel/random/boot_id'),
    await read('/etc/machine-id'),
    await readlink('/proc/self/ns/pid').catch(() => ''),
    hostname(),
  ]
  return createHash('sha256').update(parts.join('\n')).digest('hex').slice(0, 32)
}
