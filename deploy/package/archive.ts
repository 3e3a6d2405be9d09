/** A tar archive of one program, compressed: the same bytes for the same program, wherever it is made. */
import { promisify } from 'node:util'
import { constants, zstdCompress } from 'node:zlib'

const compress = promisify(zstdCompress)
const BLOCK = 512

export async function archive(path: string, program: Buffer): Promise<Buffer> {
  const padding = Buffer.alloc((BLOCK - (program.length % BLOCK)) % BLOCK)
  const tar = Buffer.concat([
    header(path, program.length),
    program,
    padding,
    Buffer.alloc(2 * BLOCK),
  ])
  return compress(tar, {
    params: {
      [constants.ZSTD_c_compressionLevel]: 19,
      // What every zstd takes without being asked to spend more memory.
      [constants.ZSTD_c_windowLog]: 27,
      [constants.ZSTD_c_checksumFlag]: 1,
    },
  })
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
