#!/usr/bin/env node
/** The hakiri command. The version is answered at once; everything else loads the frame. */
import { version } from './version.ts'

const [, , first, ...more] = process.argv
if ((first === '--version' || first === '-V') && more.length === 0) {
  process.stdout.write(`${version()}\n`)
} else {
  const { main } = await import('./frame.ts')
  process.exitCode = await main(process.argv.slice(2))
}
