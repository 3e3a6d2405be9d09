/**
 * Gives memory back when a coordinator or a worker has gone quiet. V8 keeps what a burst of traffic made it
 * take, and the kernel counts every page of the node binary that was ever touched; so after some quiet
 * seconds this collects garbage, and drops clean file pages from the process (they stay in the page cache,
 * and come back by a minor fault). Costs a pause of 10 to 100 ms that waits for quiet; never touches a dirty
 * page. Under load it drops pages at first and then every ten seconds, some milliseconds each, and collects
 * nothing. On anything but Linux, or without the C library at hand, it only collects.
 */
import { readFileSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { type Libc, loadLibc } from '../libc.ts'

/**
 * Garbage is collected once the heap has grown by a fifth, instead of to a multiple of what lives: a leader
 * keeps 146 MB instead of 188 right after 60,000 puts of 1 KiB, for no more processor time.
 */
export function growHeapSlowly(): void {
  setFlagsFromString('--heap-growing-percent=20')
}

export type IdleMemory = Disposable & {
  /** Does now what quiet would do. */
  trim(): void
}

const LOOK_MS = 2_000
/** CPU between two looks that still passes for quiet: heartbeats take a hundredth of a core. */
const QUIET_CPU_MS = 100
/**
 * Pages are dropped at every look; garbage, of which heartbeats make little, is collected once a minute, since
 * a collection touches more of the program than a minute of heartbeats.
 */
const COLLECT_LOOKS = 30
/** Under load they are dropped too, but rarely: those of starting up and of what is over are not used again. */
const BUSY_ROUND_LOOKS = 5

export function startIdleMemory(): IdleMemory {
  const collect = findCollector()
  const drop = createPageDropper()
  let seen = process.cpuUsage()
  let quietLooks = 0
  let busyLooks = 0
  const trim = (): void => {
    collect?.()
    drop()
  }
  const look = (): void => {
    const { user, system } = process.cpuUsage(seen)
    quietLooks = (user + system) / 1000 > QUIET_CPU_MS ? 0 : quietLooks + 1
    busyLooks = quietLooks > 0 ? 0 : busyLooks + 1
    if (quietLooks >= 2 && (quietLooks - 2) % COLLECT_LOOKS === 0) collect?.()
    if (quietLooks >= 2 || busyLooks % BUSY_ROUND_LOOKS === 1) drop()
    // What this took itself is no sign of work.
    seen = process.cpuUsage()
  }
  const timer = setInterval(look, LOOK_MS)
  timer.unref()
  return { trim, [Symbol.dispose]: () => clearInterval(timer) }
}

type Collect = (options: {
  readonly type: string
  readonly execution: string
  readonly flavor: string
}) => void

function findCollector(): (() => void) | undefined {
  try {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as Collect
    return () => collect({ type: 'major', execution: 'sync', flavor: 'last-resort' })
  } catch {
    return undefined
  }
}

const MADV_DONTNEED = 4
const MADV_NOHUGEPAGE = 15

/** Nothing until the C library is at hand, or where it is not. */
function createPageDropper(): () => void {
  let libc: Libc | undefined
  let isFirst = true
  loadLibc().then(
    (found) => (libc = found),
    () => undefined,
  )
  return () => {
    if (!libc) return
    libc.mallocTrim()
    for (const { start, length } of cleanFileMappings(readFileSync('/proc/self/smaps', 'latin1'))) {
      if (isFirst) libc.madvise(start, length, MADV_NOHUGEPAGE)
      libc.madvise(start, length, MADV_DONTNEED)
    }
    // The page cache itself may hold the binary in huge pages (it was just copied or summed), which come
    // back 2 MB at a time; asked once to forget them, the kernel reads them anew in small ones.
    if (isFirst) libc.forgetCached('/proc/self/exe')
    isFirst = false
  }
}

export type Mapping = { readonly start: bigint; readonly length: bigint }

/** Mappings of files, read-only and without a single changed page: what the kernel can read again. */
export function cleanFileMappings(smaps: string): readonly Mapping[] {
  const found: Mapping[] = []
  let current: Mapping | undefined
  for (const line of smaps.split('\n')) {
    const head = /^([0-9a-f]+)-([0-9a-f]+) (\S{4}) \S+ \S+ \d+\s*(.*)$/.exec(line)
    if (head) {
      const [, from, to, rights, path] = head
      const isFile = path!.startsWith('/') && !path!.endsWith('(deleted)')
      const start = BigInt(`0x${from}`)
      current =
        isFile && /^r-[x-]p$/.test(rights!)
          ? { start, length: BigInt(`0x${to}`) - start }
          : undefined
    } else if (current && /^Anonymous:\s+0 kB$/.test(line)) {
      found.push(current)
      current = undefined
    }
  }
  return found
}
