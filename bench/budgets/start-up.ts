/** What an artifact takes to say its version: the best of some tries, since others run too. */
import { measure } from '../measure.ts'

const TRIES = 15

export type StartUp = {
  readonly wallMs: number
  /** Of the processor, which says less about the machine. */
  readonly cpuMs: number
}

export async function startUpOf(program: string): Promise<StartUp> {
  let best: StartUp = { wallMs: Infinity, cpuMs: Infinity }
  for (let n = 0; n < TRIES; n++) {
    const { wallS, cpuS } = await measure([program, '--version'], { cwd: '/', env: process.env })
    best = {
      wallMs: Math.min(best.wallMs, wallS * 1000),
      cpuMs: Math.min(best.cpuMs, cpuS * 1000),
    }
  }
  return best
}
