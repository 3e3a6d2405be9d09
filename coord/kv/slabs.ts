/**
 * Memory for records, in few big buffers. A record is written once and never overwritten, so a view
 * of it stays valid for as long as somebody holds it, whatever the store does next. A slab whose
 * records are gone is dropped; one that is mostly empty is moved together with others.
 */
import { assert } from '../../lib/assert.ts'

export const SLAB_BYTES = 128 * 1024

/** Before each record: the slot that owns it, and its size. */
const PREFIX_BYTES = 8

export type Slab = {
  readonly bytes: Buffer
  readonly view: DataView
  usedBytes: number
  liveBytes: number
}

export type Slabs = {
  readonly table: (Slab | undefined)[]
  readonly free: number[]
  /** Where the next record goes; -1 before the first. */
  current: number
}

export function createSlabs(): Slabs {
  return { table: [], free: [], current: -1 }
}

export function slabAt(slabs: Slabs, index: number): Slab {
  const slab = slabs.table[index]
  assert(slab !== undefined, 'a record lies in a slab that is gone')
  return slab
}

/** Makes room for a record in the current slab; its offset, as the caller is going to write there. */
export function reserve(slabs: Slabs, slot: number, size: number): number {
  const whole = size + PREFIX_BYTES
  let slab = slabs.table[slabs.current]
  if (slab === undefined || slab.usedBytes + whole > slab.bytes.length) slab = open(slabs, whole)
  const offset = slab.usedBytes + PREFIX_BYTES
  slab.view.setUint32(slab.usedBytes, slot, true)
  slab.view.setUint32(slab.usedBytes + 4, size, true)
  slab.usedBytes += whole
  slab.liveBytes += whole
  return offset
}

/** The size of the record at an offset that `reserve` gave. */
export function sizeAt(slab: Slab, offset: number): number {
  return slab.view.getUint32(offset - 4, true)
}

/** Gives a record up; the slab goes with its last one. */
export function release(slabs: Slabs, index: number, offset: number): void {
  const slab = slabAt(slabs, index)
  slab.liveBytes -= sizeAt(slab, offset) + PREFIX_BYTES
  if (slab.liveBytes === 0 && index !== slabs.current) drop(slabs, index)
}

/** Slabs that are less than half full of records still in use. */
export function sparseSlabs(slabs: Slabs): readonly number[] {
  const sparse: number[] = []
  for (const [index, slab] of slabs.table.entries())
    if (slab && index !== slabs.current && slab.liveBytes * 2 < slab.usedBytes) sparse.push(index)
  return sparse
}

/** Every record that was ever written to the slab and where; whether it is still in use, its owner knows. */
export function eachRecord(slab: Slab, visit: (slot: number, offset: number) => void): void {
  let at = 0
  while (at < slab.usedBytes) {
    const offset = at + PREFIX_BYTES
    visit(slab.view.getUint32(at, true), offset)
    at = offset + sizeAt(slab, offset)
  }
}

/** Bytes that the slabs hold of the process's memory. */
export function heldBytes(slabs: Slabs): number {
  return slabs.table.reduce((sum, slab) => sum + (slab?.bytes.length ?? 0), 0)
}

function open(slabs: Slabs, whole: number): Slab {
  const before = slabs.current
  const bytes = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, whole))
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const slab = { bytes, view, usedBytes: 0, liveBytes: 0 }
  slabs.current = slabs.free.pop() ?? slabs.table.length
  slabs.table[slabs.current] = slab
  if (slabs.table[before]?.liveBytes === 0) drop(slabs, before)
  return slab
}

function drop(slabs: Slabs, index: number): void {
  slabs.table[index] = undefined
  slabs.free.push(index)
}
