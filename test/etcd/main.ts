/**
 * `node test/etcd/main.ts [--seeds=60]`: `hakiri coord` beside a real etcd. Random scripts go to both and
 * every answer is compared; then every etcdctl command that is promised runs against a fresh member.
 * Prints `N passed, N failed`.
 */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { systemRandom } from '../../lib/system/clock.ts'
import { startHakiriPlace } from '../support/coord-place.ts'
import { compareSeed, describe } from './differential.ts'
import { openSide, type Side } from './differential-client.ts'
import { startEtcd } from './start-etcd.ts'

const words = process.argv.slice(2)
const flag = (name: string, fallback: number): number =>
  Number(words.find((word) => word.startsWith(`--${name}=`))?.split('=')[1] ?? fallback)
const LENGTH = 60

type Sum = { readonly passed: number; readonly failed: number }

async function compare(seeds: number): Promise<Sum> {
  await using etcd = await startEtcd()
  await using hakiri = await startHakiriPlace(1)
  const sides = [etcd, hakiri].map(({ members }) => openSide(members[0]!.endpoint))
  const [a, b] = sides as [Side, Side]
  let [passed, failed] = [0, 0]
  const from = Math.floor(systemRandom.float() * 1e9)
  try {
    for (let seed = from; seed < from + seeds && failed < 3; seed++) {
      const finding = await compareSeed(a, b, seed, LENGTH)
      if (finding) console.log(describe(finding))
      if (finding) failed++
      else passed++
    }
  } finally {
    for (const side of sides) side.close()
  }
  console.log(`${passed} of ${seeds} scripts from seed ${from} on: no difference to etcd`)
  return { passed, failed }
}

/** The acceptance script prints its own lines; its sum is taken over. */
async function etcdctl(): Promise<Sum> {
  await using hakiri = await startHakiriPlace(1)
  const script = fileURLToPath(new URL('./etcdctl.ts', import.meta.url))
  const child = spawn(process.execPath, [script, '--endpoints', hakiri.members[0]!.endpoint], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text
    process.stdout.write(text.replaceAll(/^(\d+ passed)/gm, 'etcdctl: $1'))
  })
  const code = await new Promise<number>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (exit) => resolve(exit ?? 1))
  })
  const [, passed, failed] = /^(\d+) passed, (\d+) failed$/m.exec(said) ?? []
  if (passed === undefined || (code !== 0 && failed === '0')) return { passed: 0, failed: 1 }
  return { passed: Number(passed), failed: Number(failed) }
}

const sums = [await compare(flag('seeds', 60)), await etcdctl()]
const total = (of: keyof Sum): number => sums.reduce((sum, one) => sum + one[of], 0)
console.log(`${total('passed')} passed, ${total('failed')} failed`)
process.exitCode = total('failed') > 0 ? 1 : 0
