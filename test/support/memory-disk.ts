/**
 * A disk in memory for the log: nothing is durable before its sync, and a crash at any moment leaves
 * of the rest what the test says. Faults are played by name of the operation.
 */
import type { WalDisk, WalFile } from '../../coord/wal/disk.ts'

const SECTOR_BYTES = 512

/** What a crash leaves of the write that was not synced. */
export type Tear =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'whole' }
  /** Its first bytes only. */
  | { readonly kind: 'prefix'; readonly bytes: number }
  /** Those of its 512-byte sectors, counted from its first, for which `has` says so. */
  | { readonly kind: 'sectors'; readonly has: (nth: number) => boolean }

/** Each operation asks before it acts; a throw fails it, a promise holds it up. */
export type DiskGate = (
  operation: 'write' | 'sync' | 'create' | 'rename' | 'remove' | 'sync-folder' | 'cut',
  name: string,
) => void | Promise<void>

type Write = { readonly offset: number; readonly bytes: Uint8Array }
/** A file has an identity of its own, whatever its name. */
type Inode = { durable: Uint8Array; written: Write[]; size: number }

export type MemoryDisk = WalDisk & {
  /** The files as a start after a crash finds them; every unsynced write is torn as told. */
  crash(tear: Tear, isFolderKept: boolean): ReadonlyMap<string, Uint8Array>
  gate: DiskGate
}

/** A disk that holds `files`, all of them durable. */
export function createMemoryDisk(files: ReadonlyMap<string, Uint8Array> = new Map()): MemoryDisk {
  const inodeOf = (bytes: Uint8Array): Inode => ({
    durable: Uint8Array.from(bytes),
    written: [],
    size: bytes.length,
  })
  const names = new Map([...files].map(([name, bytes]) => [name, inodeOf(bytes)]))
  let durableNames = new Map(names)
  const disk: MemoryDisk = {
    gate: () => undefined,
    list: () => Promise.resolve([...names.keys()]),
    read: (name) => Promise.resolve(current(inode(names, name))),
    async create(name, sizeBytes) {
      await disk.gate('create', name)
      const made = inodeOf(new Uint8Array(sizeBytes))
      names.set(name, made)
      return openFile(made, name, disk)
    },
    open: (name) => Promise.resolve(openFile(inode(names, name), name, disk)),
    async rename(from, to) {
      await disk.gate('rename', to)
      names.set(to, inode(names, from))
      names.delete(from)
    },
    async remove(name) {
      await disk.gate('remove', name)
      names.delete(name)
    },
    async syncFolder() {
      await disk.gate('sync-folder', '')
      durableNames = new Map(names)
    },
    close: () => Promise.resolve(),
    crash(tear, isFolderKept) {
      const kept = isFolderKept ? names : durableNames
      return new Map([...kept].map(([name, file]) => [name, torn(file, tear)]))
    },
  }
  return disk
}

function inode(names: ReadonlyMap<string, Inode>, name: string): Inode {
  const found = names.get(name)
  if (!found) throw Object.assign(new Error(`no such file: ${name}`), { code: 'ENOENT' })
  return found
}

function current(file: Inode): Uint8Array {
  return torn(file, { kind: 'whole' })
}

function torn(file: Inode, tear: Tear): Uint8Array {
  const bytes = Uint8Array.from(file.durable)
  for (const write of file.written) tearInto(bytes, write.offset, write.bytes, tear)
  return bytes
}

function openFile(file: Inode, name: string, disk: MemoryDisk): WalFile {
  return {
    async append(bytes, offset) {
      if (offset + bytes.length > file.size) throw new Error(`a write past the end of ${name}`)
      file.written.push({ offset, bytes: Uint8Array.from(bytes) })
      await disk.gate('write', name)
      const upTo = file.written.length
      await disk.gate('sync', name)
      for (const { offset, bytes } of file.written.slice(0, upTo)) file.durable.set(bytes, offset)
      file.written = file.written.slice(upTo)
    },
    async cut(offset, sizeBytes) {
      await disk.gate('cut', name)
      const bytes = new Uint8Array(sizeBytes)
      bytes.set(current(file).subarray(0, offset))
      file.durable = bytes
      file.written = []
      file.size = sizeBytes
    },
    close: () => Promise.resolve(),
  }
}

/** Puts what a torn write leaves of `bytes` into `file` at `offset`. */
function tearInto(file: Uint8Array, offset: number, bytes: Uint8Array, tear: Tear): void {
  switch (tear.kind) {
    case 'nothing':
      return
    case 'whole':
      file.set(bytes, offset)
      return
    case 'prefix':
      file.set(bytes.subarray(0, tear.bytes), offset)
      return
    case 'sectors': {
      let nth = 0
      for (let at = 0; at < bytes.length; nth++) {
        const next = Math.min(bytes.length, at + SECTOR_BYTES - ((offset + at) % SECTOR_BYTES))
        if (tear.has(nth)) file.set(bytes.subarray(at, next), offset + at)
        at = next
      }
    }
  }
}
