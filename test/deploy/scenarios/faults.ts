/** Hosts that lose power, freeze, run out of disk and boot again, under load. */
import { startLoad } from '../load.ts'
import { expect, type Scenario } from '../scenario.ts'
import { isWhole, leaderHost } from '../health.ts'
import { underLoad } from '../under-load.ts'
import type { Lab } from '../lab.ts'
import type { Host } from '../host.ts'
import { until } from '../../support/until.ts'

const FREEZE_MS = 30_000
const AWAY_MS = 60_000
const FULL_KB = 4_096
/** More than the segment in use and the one that is ready have room for, twice 16 MiB. */
const LOG_VALUES = 80
const LOG_VALUE_BYTES = 512 * 1_024
const SAID_MS = 60_000

export const fault: Scenario = {
  name: 'fault',
  claims:
    'the leading coordinator and a worker lose power under load: nothing acknowledged is lost',
  async run(lab, figures) {
    await underLoad(lab, figures, { what: 'a coordinator lost power' }, async (load) => {
      const leader = await leaderHost(lab)
      const [worker] = lab.hosts('worker')
      expect(worker !== undefined, 'no worker')
      await leader.cutPower()
      lab.note(`${leader.name}, which led, lost power`)
      await load.more(1)
      await worker.cutPower()
      lab.note(`${worker.name} lost power`)
      await load.more(1)
      await leader.boot()
      await worker.boot()
      await isWhole(lab)
      await load.more(1)
    })
  },
}

export const freeze: Scenario = {
  name: 'freeze',
  claims:
    'the leading coordinator and a worker freeze for 30 s under load: whoever wakes changes nothing',
  async run(lab, figures) {
    await underLoad(lab, figures, { what: 'the leading coordinator froze' }, async (load) => {
      const leader = await leaderHost(lab)
      const [, worker] = lab.hosts('worker')
      expect(worker !== undefined, 'no second worker')
      await Promise.all([leader.freeze(), worker.freeze()])
      lab.note(`${leader.name} and ${worker.name} are frozen`)
      await new Promise((resolve) => setTimeout(resolve, FREEZE_MS))
      await Promise.all([leader.thaw(), worker.thaw()])
      await isWhole(lab)
      await load.more(2)
    })
  },
}

export const disk: Scenario = {
  name: 'disk',
  claims:
    'the disks of a coordinator and of a worker fill up under load: others go on, room brings them back',
  async run(lab, figures) {
    await underLoad(lab, figures, { what: 'disks were full' }, async (load) => {
      const leader = await leaderHost(lab)
      const [worker] = lab.hosts('worker')
      expect(worker !== undefined, 'no worker')
      await Promise.all([fill(leader), fill(worker)])
      await growLogs(lab)
      await says(leader, 'hakiri-coord', 'DISK_FULL')
      lab.note(`${leader.name}, which led, ended since its disk is full`)
      await load.more(1)
      // Whoever meets the end of a disk removes what it had begun, which is room again for a while.
      await fill(worker)
      await load.more(2)
      await says(worker, 'hakiri-worker', 'DISK_FULL')
      await Promise.all([
        leader.ssh('rm /var/lib/hakiri/fill'),
        worker.ssh('rm /var/lib/hakiri/fill'),
      ])
      await isWhole(lab)
      await load.more(1)
    })
  },
}

export const reboot: Scenario = {
  name: 'reboot',
  claims: 'all hosts reboot at once, and the cluster is back without anybody',
  async run(lab, figures) {
    await using load = await startLoad(lab)
    await load.more(1)
    const started = performance.now()
    const all = Object.values(lab.members)
      .flat()
      .map((name) => lab.host(name))
    await Promise.all(all.map((host) => host.reboot()))
    await isWhole(lab)
    figures.record('all hosts rebooted to a whole cluster, s', (performance.now() - started) / 1000)
    await load.more(1)
    const audit = await load.finish()
    lab.note(`${audit.rows} rows, lost 0, doubled 0`)
    const again = await lab.play('site.yml')
    expect(again.changed === 0, `after the reboot site.yml changed ${again.changed}`)
  },
}

/** Fills the logs of all members, so that each needs a new segment. */
async function growLogs(lab: Lab): Promise<void> {
  await using client = await lab.client(10_000)
  const key = new TextEncoder().encode('deploy-disk')
  const value = new Uint8Array(LOG_VALUE_BYTES)
  for (let count = 0; count < LOG_VALUES; count++)
    await until(
      'a large value is written',
      () =>
        client.put({ key, value }).then(
          () => true,
          // The member that ends takes what was under way with it; the same again does no harm.
          () => false,
        ),
      SAID_MS,
    )
  await client.deleteRange({ key })
}

/** Waits until the journal of a service has these words since the boot. */
async function says(host: Host, unit: string, words: string): Promise<void> {
  await until(
    `${host.name}: ${unit} says ${words}`,
    async () => {
      const { code } = await host.ssh(`journalctl -b -q -u ${unit} | grep -F -q '${words}'`, {
        codes: [0, 1],
      })
      return code === 0
    },
    SAID_MS,
  )
}

async function fill(host: Host): Promise<void> {
  await host.ssh('dd if=/dev/zero bs=64K 2>/dev/null >>/var/lib/hakiri/fill; true', {
    timeoutMs: AWAY_MS,
  })
  const { stdout } = await host.ssh('df --output=avail /var/lib/hakiri | tail -n 1')
  // A worker that meets the end of its disk removes what it had begun.
  expect(Number(stdout.trim()) < FULL_KB, `${host.name} still has room: ${stdout}`)
}
