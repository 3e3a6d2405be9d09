/**
 * Keys in order, in pieces, so that putting one among a hundred thousand moves few. Invariant: no piece
 * is empty but the only one, and each ends before the next begins.
 */
const PIECE_MAX = 512

export type SortedKeys = {
  /** A key that is not there yet. */
  add(key: string): void
  remove(key: string): void
  /** Keys from `from` on, before `to`. */
  between(from: string, to: string): readonly string[]
}

export function createSortedKeys(): SortedKeys {
  const pieces: string[][] = [[]]
  /** The last piece that begins at or before the key, or the first one. */
  const pieceOf = (key: string): number => {
    let low = 0
    let high = pieces.length
    while (high - low > 1) {
      const middle = (low + high) >>> 1
      if (pieces[middle]![0]! <= key) low = middle
      else high = middle
    }
    return low
  }
  return {
    add(key) {
      const at = pieceOf(key)
      const piece = pieces[at]!
      piece.splice(placeOf(piece, key), 0, key)
      if (piece.length > PIECE_MAX) pieces.splice(at + 1, 0, piece.splice(PIECE_MAX / 2))
    },
    remove(key) {
      const at = pieceOf(key)
      const piece = pieces[at]!
      const place = placeOf(piece, key)
      if (piece[place] !== key) return
      piece.splice(place, 1)
      if (piece.length === 0 && pieces.length > 1) pieces.splice(at, 1)
    },
    between(from, to) {
      const found: string[] = []
      for (let at = pieceOf(from); at < pieces.length; at++) {
        const piece = pieces[at]!
        for (let place = placeOf(piece, from); place < piece.length; place++) {
          if (piece[place]! >= to) return found
          found.push(piece[place]!)
        }
      }
      return found
    },
  }
}

/** Where a key stands among sorted keys, or would. */
function placeOf(keys: readonly string[], key: string): number {
  let low = 0
  let high = keys.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (keys[middle]! < key) low = middle + 1
    else high = middle
  }
  return low
}
