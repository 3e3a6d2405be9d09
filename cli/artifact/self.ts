/** What this process is: run from the source, or an artifact that carries its own runtime. */
import { isSea } from 'node:sea'
import { ENCODER_WORD } from './encoder-word.ts'

/**
 * How an artifact starts its encoder: from the very file it runs from, which the kernel still has when an
 * upgrade has put another one under its name. Two versions never talk through a pipe.
 */
export function encoderProgram() {
  if (!isSea()) return {}
  const path = process.platform === 'linux' ? '/proc/self/exe' : process.execPath
  return { child: { kind: 'program', path, word: ENCODER_WORD } } as const
}
