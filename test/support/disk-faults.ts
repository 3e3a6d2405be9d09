/** Builds the shim that plays disk faults under a real process, and says how to start one with it. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'

export type DiskFault = {
  readonly kind: 'sync-error' | 'write-error' | 'full' | 'torn' | 'slow'
  readonly path: string
  readonly at: number
  /** For `torn` what is left of the write; for `slow` milliseconds. */
  readonly bytes?: number
}

const run = promisify(execFile)

/**
 * The built shim in `folder`; undefined without a C compiler, which HAKIRI_REQUIRE_FAULTS=1 makes an
 * error: where faults have to be tried they must not be skipped in silence.
 */
export async function buildDiskFaults(folder: string): Promise<string | undefined> {
  const source = new URL('disk-faults.c', import.meta.url).pathname
  const library = join(folder, 'disk-faults.so')
  try {
    await run('gcc', ['-O2', '-shared', '-fPIC', '-o', library, source, '-ldl'])
    return library
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT'
    if (!isMissing || process.env['HAKIRI_REQUIRE_FAULTS'] === '1') throw error
    return undefined
  }
}

/** The environment in which a process meets `fault`. */
export function faultEnvironment(library: string, fault: DiskFault): NodeJS.ProcessEnv {
  return {
    ...process.env,
    LD_PRELOAD: library,
    // The kernel would do the work out of the shim's sight.
    UV_USE_IO_URING: '0',
    HAKIRI_FAULT: fault.kind,
    HAKIRI_FAULT_PATH: fault.path,
    HAKIRI_FAULT_AT: String(fault.at),
    HAKIRI_FAULT_BYTES: String(fault.bytes ?? 0),
  }
}
