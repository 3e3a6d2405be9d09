/** How much processor time an artifact takes to say its version: the best of some, since others run too. */
import { measure } from '../measure.ts'

const TRIES = 15

export async function startUpMs(program: string): Promise<number> {
  const times: number[] = []
  for (let n = 0; n < TRIES; n++) {
    const { cpuS } = await measure([program, '--version'], { cwd: '/', env: process.env })
    times.push(cpuS * 1000)
  }
  return Math.min(...times)
}
