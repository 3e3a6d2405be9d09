/**
 * All of an artifact but its version: cli/main.ts without top-level await, which CommonJS does not have. The
 * same program is its own encoder process, told by its first word. What the builder says of the profile is
 * a constant, so that a smaller one holds nothing more.
 */
import { ENCODER_WORD } from './encoder-word.ts'

/** Set by deploy/package/bundle.ts. */
declare const HAKIRI_HAS_ENCODER: boolean

async function start(): Promise<void> {
  if (HAKIRI_HAS_ENCODER && process.argv[2] === ENCODER_WORD) {
    process.argv.splice(2, 1)
    await import('../../sink/encoder/child.ts')
  } else {
    const { main } = await import('../frame.ts')
    process.exitCode = await main(process.argv.slice(2))
  }
}

start().catch((error: unknown) => {
  process.nextTick(() => {
    throw error
  })
})
