/**
 * A disk in memory for the log: nothing is durable before its sync, and a crash at any moment leaves
 * of the rest what the test says. Faults are played by name of the operation.
 */
import type { WalDisk, WalFile } from '../../coord/wal/disk.ts'
import { tearInto, type Tear } from './memory-wal.ts'

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
    async write(bytes, offset) {
      if (offset + bytes.length > file.size) throw new Error(`a write past the end of ${name}`)
      file.written.push({ offset, bytes: Uint8Array.from(bytes) })
      await disk.gate('write', name)
    },
    async sync() {
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
