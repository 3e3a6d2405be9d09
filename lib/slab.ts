/**
 * Memory for small things that stay: copied next to each other into slabs of their own. Left where they
 * were made, each would keep alive all the passing things that share its buffer.
 */

const SLAB_BYTES = 64 * 1024
const SMALL_BYTES = 8 * 1024

/** Gives a copy that stays; what is large has memory of its own already. */
export function createSlab(): (bytes: Uint8Array) => Uint8Array {
  let slab = Buffer.alloc(0)
  let used = 0
  return (bytes) => {
    if (bytes.length > SMALL_BYTES) return bytes
    if (used + bytes.length > slab.length) {
      slab = Buffer.allocUnsafeSlow(SLAB_BYTES)
      used = 0
    }
    const copy = slab.subarray(used, used + bytes.length)
    copy.set(bytes)
    used += bytes.length
    return copy
  }
}
