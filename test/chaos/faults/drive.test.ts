/** Faults as they are driven: healing may take longer than the plan has allowed for. */
import test from 'ava'
import { createTimeline } from '../timeline.ts'
import { driveFaults } from './drive.ts'
import type { PlannedFault } from './schedule.ts'
import type { Stage } from './stage.ts'

const NEVER = new AbortController().signal

/** A stage with nothing on it but two databases; the one of the catalog comes back after the other. */
function stageOf() {
  const done: string[] = []
  const back = Promise.withResolvers<void>()
  const timeline = createTimeline(() => performance.now())
  const database = (name: string, until?: Promise<void>, then = () => {}) => ({
    async kill() {
      done.push(`${name} killed`)
      await Promise.resolve()
    },
    async up() {
      await until
      done.push(`${name} back`)
      then()
    },
  })
  const stage = {
    troupe: {
      backend: 'raft',
      coordinators: ['coord-1'],
      workers: ['worker-1'],
      spares: [],
      abilities: new Set(),
    },
    timeline,
    catalog: database('catalog', back.promise),
    source: database('source', undefined, back.resolve),
    problem: (text: string) => done.push(text),
  }
  // The rest is out of reach of the faults that are driven here.
  return { stage: stage as unknown as Stage, done, timeline }
}

const fault = (number: number, kind: PlannedFault['kind'], host: string): PlannedFault => ({
  number,
  kind,
  atMs: 0,
  durationMs: 0,
  hosts: [host],
  degree: 0.5,
})

test('what is still coming back is not hit again, and other things are', async (t) => {
  const { stage, done, timeline } = stageOf()
  const plan = [
    fault(1, 'kill-catalog', 'catalog'),
    fault(2, 'kill-catalog', 'catalog'),
    fault(3, 'kill-source', 'source'),
  ]
  const { shown, missed } = await driveFaults(stage, plan, NEVER)
  t.deepEqual(done, ['catalog killed', 'source killed', 'source back', 'catalog back'])
  t.deepEqual(Object.fromEntries(shown), { 'kill-catalog': 1, 'kill-source': 1 })
  t.is(missed, 1)
  const notes = timeline.events.filter(({ kind }) => kind === 'note')
  t.like(notes, [{ text: 'fault 2 (kill-catalog): fault 1 (kill-catalog) is not over yet' }])
})
