/**
 * What the log needs of a disk: a folder of files that nobody else touches. Nothing here is durable
 * before the sync that is named for it.
 */

export type WalFile = {
  /** All of `bytes`, inside the file's size; durable once this resolves. */
  append(bytes: Uint8Array, offset: number): Promise<void>
  /** Drops what lies from `offset` on, at once; then zeros up to `sizeBytes`, durable. */
  cut(offset: number, sizeBytes: number): Promise<void>
  close(): Promise<void>
}

export type WalDisk = {
  list(): Promise<readonly string[]>
  read(name: string): Promise<Uint8Array>
  /** A file of zeros, its blocks allocated and durable, its name not yet; replaces one by that name. */
  create(name: string, sizeBytes: number): Promise<WalFile>
  open(name: string): Promise<WalFile>
  rename(from: string, to: string): Promise<void>
  remove(name: string): Promise<void>
  /** Names that were made, changed or removed are durable. */
  syncFolder(): Promise<void>
  /** Lets go of the folder. */
  close(): Promise<void>
}
