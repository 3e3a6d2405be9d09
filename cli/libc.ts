/**
 * The few calls of the C library that the runtime does not offer: pages given back to the kernel, and
 * datagrams to a socket with a path. The one place that knows by what means they are reached (koffi);
 * where that is not to be had, or off Linux, there are none.
 */
import { endianness } from 'node:os'

export type Libc = {
  /** Gives back what malloc keeps in reserve. */
  mallocTrim(): void
  madvise(start: bigint, length: bigint, advice: number): void
  /** Forgets the pages that the page cache holds of a file. */
  forgetCached(path: string): void
  /** Sends one datagram to a UNIX socket, named by a path or, with a leading @, abstract; never waits. */
  readonly sendDatagram: (address: string, text: string) => boolean
}

type Call = (...args: readonly unknown[]) => number
type Library = { func(prototype: string): Call }

const POSIX_FADV_DONTNEED = 4
const AF_UNIX = 1
const SOCK_DGRAM = 2
const SOCK_CLOEXEC = 0o2000000
const MSG_DONTWAIT = 0x40
const MSG_NOSIGNAL = 0x4000
const PATH_BYTES_MAX = 107

let loaded: Promise<Libc> | undefined

/** Loaded once for the whole process, since koffi takes memory. Rejects where it cannot be had. */
export function loadLibc(): Promise<Libc> {
  return (loaded ??= load())
}

async function load(): Promise<Libc> {
  if (process.platform !== 'linux') throw new Error('only Linux is known')
  const { default: koffi } = await import('koffi')
  return bind(koffi.load(null))
}

function bind(library: Library): Libc {
  const trim = library.func('int malloc_trim(size_t pad)')
  const madvise = library.func('int madvise(uintptr_t address, size_t length, int advice)')
  const open = library.func('int open(const char *path, int flags)')
  const close = library.func('int close(int file)')
  const advise = library.func(
    'int posix_fadvise(int file, int64_t offset, int64_t length, int advice)',
  )
  const socket = library.func('int socket(int domain, int type, int protocol)')
  const sendto = library.func(
    'int64_t sendto(int socket, const void *data, size_t length, int flags, const void *address, uint32_t size)',
  )
  return {
    mallocTrim: () => void trim(0),
    madvise: (start, length, advice) => void madvise(start, length, advice),
    forgetCached(path) {
      const file = open(path, 0)
      if (file < 0) return
      advise(file, 0, 0, POSIX_FADV_DONTNEED)
      close(file)
    },
    sendDatagram(address, text) {
      const to = socketAddress(address)
      const from = to ? socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1
      if (!to || from < 0) return false
      const data = Buffer.from(text)
      const sent = sendto(from, data, data.length, MSG_DONTWAIT | MSG_NOSIGNAL, to, to.length)
      close(from)
      return Number(sent) === data.length
    },
  }
}

/** struct sockaddr_un; undefined for what is no address (unix(7)). */
export function socketAddress(address: string): Buffer | undefined {
  const path = Buffer.from(address)
  if (!/^[/@]./.test(address) || path.length > PATH_BYTES_MAX) return undefined
  if (path[0] === '@'.charCodeAt(0)) path[0] = 0
  const family = Buffer.alloc(2)
  if (endianness() === 'LE') family.writeUInt16LE(AF_UNIX)
  else family.writeUInt16BE(AF_UNIX)
  // An abstract name is as long as it is; a path ends with a zero.
  return path[0] === 0
    ? Buffer.concat([family, path])
    : Buffer.concat([family, path, Buffer.alloc(1)])
}
