/** What operators do to a cluster that works, under load. */
import { startLoad } from '../load.ts'
import { expect, type Scenario } from '../scenario.ts'
import { isWhole } from '../health.ts'
import { underLoad } from '../under-load.ts'
import { until } from '../../support/until.ts'
import type { Lab } from '../lab.ts'

/** What coordinators may be unavailable for at a time while they are upgraded or given certificates. */
const GAP_MS_MAX = 2_000
const COMMIT_MS = 120_000

export const addWorker: Scenario = {
  name: 'add-worker',
  claims: 'add-worker.yml brings a bare host to its first commit while others work',
  async run(lab, figures) {
    await using load = await startLoad(lab)
    await load.more(1)
    await lab.boot(['worker3'])
    lab.members = { ...lab.members, worker: [...lab.members.worker, 'worker3'] }
    const started = performance.now()
    const play = await lab.play('add-worker.yml', { limit: 'worker3' })
    await firstCommit(lab, 'worker3')
    figures.record('a bare host to its first commit, s', (performance.now() - started) / 1000)
    figures.record('add-worker.yml, s', play.seconds)
    const { rows } = await load.finish()
    lab.note(`${rows} rows, lost 0, doubled 0`)
  },
}

export const replaceCoord: Scenario = {
  name: 'replace-coord',
  claims:
    'replace-coord.yml puts a new host in the place of a dead coordinator, and a new disk in that of a lost one',
  async run(lab, figures) {
    await underLoad(lab, figures, { what: 'coordinators replaced' }, async () => {
      const dead = lab.host('coord1')
      await dead.cutPower()
      await lab.boot(['coord4'])
      lab.members = {
        ...lab.members,
        coord: ['coord4', ...lab.members.coord.filter((name) => name !== 'coord1')],
      }
      await lab.play('replace-coord.yml', {
        extra: { hakiri_replace: `${dead.address}:7701`, hakiri_replacement: 'coord4' },
      })
      await isWhole(lab)
      lab.note('coord4 is in the place of coord1')
      const emptied = lab.host('coord2')
      await emptied.ssh(
        'systemctl kill --signal=KILL hakiri-coord; systemctl stop hakiri-coord; rm -rf /var/lib/hakiri/coord',
      )
      await lab.play('replace-coord.yml', { extra: { hakiri_replace: 'coord2' } })
      await isWhole(lab)
    })
    const again = await lab.play('site.yml')
    expect(again.changed === 0, `afterwards site.yml changed ${again.changed}`)
  },
}

export const rotateCerts: Scenario = {
  name: 'rotate-certs',
  claims:
    'rotate-certs.yml gives everybody certificates of a new authority while work and writes go on',
  async run(lab, figures) {
    const what = 'certificates of a new authority'
    await underLoad(lab, figures, { what, gapMsMax: GAP_MS_MAX }, async () => {
      const before = await shownBy(lab)
      const play = await lab.play('rotate-certs.yml', { extra: { hakiri_rotate_authority: true } })
      figures.record('rotate-certs.yml with a new authority, s', play.seconds)
      const after = await shownBy(lab)
      expect(before !== after, 'a coordinator still shows its old certificate')
      await isWhole(lab)
    })
    const again = await lab.play('site.yml')
    expect(again.changed === 0, `afterwards site.yml changed ${again.changed}`)
  },
}

async function shownBy(lab: Lab): Promise<string> {
  const [coord] = lab.hosts('coord')
  const { stdout } = await (coord ?? lab.host('')).ssh(
    'openssl s_client -connect 127.0.0.1:7701 -cert /etc/hakiri/tls/node.pem </dev/null 2>/dev/null | openssl x509 -noout -issuer',
  )
  return stdout
}

async function firstCommit(lab: Lab, worker: string): Promise<void> {
  await using catalog = await lab.catalog()
  await until(
    `${worker} commits`,
    async () => {
      const metrics = await lab.metrics(worker)
      const count = /^hakiri_commits_total\{[^}]*\} (\d+)/m.exec(metrics)?.[1]
      return Number(count ?? 0) > 0
    },
    COMMIT_MS,
    async () => JSON.stringify(await catalog.workers()),
  )
}
