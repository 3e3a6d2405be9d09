/**
 * A tar archive of one program, compressed: the same bytes for the same program, wherever it is made.
 *
 * It is a row of zstd frames, which every zstd reads as one. Cuts are made where parts begin that programs
 * have in common, so that each part is compressed once however many programs hold it, and by size, so that
 * frames keep several processors busy. Cuts depend on the program alone, never on the machine.
 */
import { createHash } from 'node:crypto'
import { promisify } from 'node:util'
import { constants, zstdCompress } from 'node:zlib'

const compress = promisify(zstdCompress)
const BLOCK = 512
const FRAME_BYTES_MAX = 64 << 20

/**
 * A download is paid by every host, a build once, and `core` has little room below its 50 MB: levels below 17
 * would be over it. What 19 costs more than 17 is bearable since parts are compressed once for all programs;
 * sizes and seconds by level stand in DESIGN.md.
 */
const PARAMS = {
  [constants.ZSTD_c_compressionLevel]: 19,
  // All of a frame, and less than what every zstd takes without being asked to spend more memory (2^27).
  [constants.ZSTD_c_windowLog]: 26,
  [constants.ZSTD_c_checksumFlag]: 1,
}

/** Frames that are made already, by the checksum of what is in them. */
export type Frames = Map<string, Promise<Buffer>>

/** `seams` are offsets in the program where parts begin that others have too; they change time, never content. */
export async function archive(
  path: string,
  program: Buffer,
  seams: readonly number[] = [],
  frames: Frames = new Map(),
): Promise<Buffer> {
  const padding = Buffer.alloc((BLOCK - (program.length % BLOCK)) % BLOCK)
  const parts = [
    header(path, program.length),
    ...cut(program, seams),
    Buffer.concat([padding, Buffer.alloc(2 * BLOCK)]),
  ]
  return Buffer.concat(await Promise.all(parts.map((part) => frameOf(part, frames))))
}

function cut(program: Buffer, seams: readonly number[]): readonly Buffer[] {
  const places = [0, ...seams.toSorted((a, b) => a - b), program.length]
  return places.slice(1).flatMap((end, n) => piecesOf(program.subarray(places[n], end)))
}

function piecesOf(part: Buffer): readonly Buffer[] {
  const count = Math.ceil(part.length / FRAME_BYTES_MAX)
  return Array.from({ length: count }, (_, n) =>
    part.subarray(n * FRAME_BYTES_MAX, (n + 1) * FRAME_BYTES_MAX),
  )
}

function frameOf(part: Buffer, frames: Frames): Promise<Buffer> {
  const key = createHash('sha256').update(part).digest('hex')
  const made = frames.get(key) ?? compress(part, { params: PARAMS })
  frames.set(key, made)
  return made
}

/** POSIX.1-1988 ustar, owner and time fixed. */
function header(path: string, bytes: number): Buffer {
  const block = Buffer.alloc(BLOCK)
  const octal = (value: number, at: number, length: number): number =>
    block.write(`${value.toString(8).padStart(length - 1, '0')}\0`, at)
  block.write(path, 0)
  octal(0o755, 100, 8)
  octal(0, 108, 8)
  octal(0, 116, 8)
  octal(bytes, 124, 12)
  octal(0, 136, 12)
  block.write(' '.repeat(8), 148)
  block.write('0', 156)
  block.write('ustar\0' + '00', 257)
  block.write('root', 265)
  block.write('root', 297)
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return block
}
