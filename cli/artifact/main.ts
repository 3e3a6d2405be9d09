/**
 * Where an artifact begins: cli/main.ts as one CommonJS file without top-level await, since that is what
 * the runtime takes from inside its own file. The same program is its encoder process, told by its first
 * word. What the builder says of the profile is a constant, so that a smaller one holds nothing more.
 */
import { version } from '../version.ts'
import { ENCODER_WORD } from './encoder-word.ts'

/** Set by deploy/package/bundle.ts. */
declare const HAKIRI_HAS_ENCODER: boolean

async function start(): Promise<void> {
  const [, , first, ...more] = process.argv
  if ((first === '--version' || first === '-V') && more.length === 0) {
    process.stdout.write(`${version()}\n`)
  } else if (HAKIRI_HAS_ENCODER && first === ENCODER_WORD) {
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
