/** Faults of processes: killed, stopped, cut off and killed, restarted one after the other, of another version. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Kept } from '../cast/kept.ts'
import { LINKS } from './links.ts'
import {
  actorOf,
  type Begin,
  coordinatorOf,
  NothingToHit,
  type Scene,
  unharmed,
  workerOf,
} from './stage.ts'

const kill: Begin = async ({ stage, fault }) => {
  const actors = fault.hosts.map((host) => unharmed(actorOf(stage, host)))
  await Promise.all(actors.map((actor) => actor.kill()))
  return async () => actors.forEach((actor) => actor.start())
}

const pause: Begin = async ({ stage, fault }) => {
  const actors = fault.hosts.map((host) => unharmed(actorOf(stage, host)))
  await Promise.all(actors.map((actor) => actor.pause()))
  return async () => void (await Promise.all(actors.map((actor) => actor.resume())))
}

/** Nobody hears that it died: its last words are lost on the way. It comes back behind the cut. */
const halfOpen: Begin = async ({ stage, fault }) => {
  const { hosts, degree, number } = fault
  const actor = unharmed(actorOf(stage, hosts[0]!))
  const cut = LINKS['half-open']({ hosts, degree, troupe: stage.troupe })
  await stage.links.write(number, cut)
  await actor.kill()
  return async () => {
    await stage.links.cross(number)
    actor.start()
  }
}

/** One after the other, evenly over the time that the fault has. */
const roll: Begin = async ({ stage, fault }) => {
  const actors = fault.hosts.map((host) => actorOf(stage, host))
  const restarts = rollOver(actors, fault.durationMs / actors.length, stage.stopMs)
  return () => restarts
}

async function rollOver(
  actors: readonly Kept[],
  eachMs: number,
  stopMs: () => number,
): Promise<void> {
  for (const actor of actors) {
    const began = performance.now()
    if (actor.state() === 'running') {
      await actor.terminate(stopMs)
      actor.start()
    }
    await delay(Math.max(0, eachMs - (performance.now() - began)))
  }
}

type Role = 'worker' | 'coordinator'

const upgrade =
  (role: Role): Begin =>
  async (scene) => {
    await restartAs(scene, role, 'next')
    return () => restartAs(scene, role, 'now')
  }

async function restartAs(
  { stage, fault }: Scene,
  role: Role,
  version: 'now' | 'next',
): Promise<void> {
  const host = fault.hosts[0]!
  const one = role === 'worker' ? workerOf(stage, host) : coordinatorOf(stage, host)
  if (version === 'next') unharmed(one.actor)
  await one.actor.terminate(stage.stopMs)
  one.runAs(stage.programs[version])
  one.actor.start()
}

/** The bucket's server stops in the middle of what it does, and does the rest later. */
const pauseBucket: Begin = async ({ stage: { bucket } }) => {
  bucket.pause()
  return async () => bucket.resume()
}

export const PROCESSES = {
  'kill-coordinator': kill,
  'kill-leader': kill,
  'kill-all-coordinators': async (scene) => {
    const { stage, fault } = scene
    const hosts = fault.hosts.filter((host) => actorOf(stage, host).state() === 'running')
    if (hosts.length === 0) throw new NothingToHit('no coordinator runs')
    return kill({ stage, fault: { ...fault, hosts } })
  },
  'kill-worker': kill,
  'pause-coordinator': pause,
  'pause-leader': pause,
  'pause-worker': pause,
  'pause-bucket': pauseBucket,
  'half-open': halfOpen,
  'half-open-coordinator': halfOpen,
  'roll-coordinators': roll,
  'roll-workers': roll,
  'upgrade-worker': upgrade('worker'),
  'upgrade-coordinator': upgrade('coordinator'),
} satisfies { readonly [kind: string]: Begin }
