/** From bare hosts to a cluster that pulls, twice. */
import { type Lab, PARTS } from '../lab.ts'
import { auditTable } from '../audit.ts'
import { runOnce } from '../load.ts'
import { expect, type Scenario } from '../scenario.ts'

export const site: Scenario = {
  name: 'site',
  claims: 'site.yml makes a cluster of bare hosts, and a second run changes nothing',
  async run(lab, figures) {
    const all = Object.values(lab.members).flat()
    await lab.boot(all)
    await checkPowerCut(lab)
    const started = performance.now()
    const first = await lab.play('site.yml')
    const catalog = await lab.catalog()
    await runOnce(catalog)
    await catalog[Symbol.asyncDispose]()
    figures.record(
      'bare hosts to the end of the first run, s',
      (performance.now() - started) / 1000,
    )
    figures.record('site.yml, first time, s', first.seconds)
    const { rows } = await auditTable(lab.table(), PARTS, lab.api.rows)
    lab.note(`${rows} rows, lost 0, doubled 0`)
    const second = await lab.play('site.yml')
    figures.record('site.yml, second time, s', second.seconds)
    expect(
      second.changed === 0,
      `the second run changed ${second.changed}\n${second.stdout.slice(-8_000)}`,
    )
    await checkDoors(lab)
  },
}

/** What was not synced when the power went is gone, or a cut would prove nothing. */
async function checkPowerCut(lab: Lab): Promise<void> {
  const [host] = lab.hosts('worker')
  expect(host !== undefined, 'no worker')
  await host.ssh('cd /var/lib/hakiri; touch kept; sync; touch lost')
  await host.cutPower()
  await host.boot()
  const { stdout } = await host.ssh('cd /var/lib/hakiri; ls kept lost 2>/dev/null; rm -f kept', {
    codes: [0],
  })
  expect(stdout === 'kept\n', `after a power cut there is: ${stdout}`)
}

/** Nothing answers who has no certificate or token; no secret can be read by others. */
async function checkDoors(lab: Lab): Promise<void> {
  const [coord] = lab.hosts('coord')
  const [worker] = lab.hosts('worker')
  if (!coord || !worker) throw new Error('no hosts')
  const plain = await worker.ssh(`curl -sk -m 5 https://${coord.address}:7701/version`, {
    codes: [0, ...FAILED],
  })
  expect(plain.code !== 0, `a coordinator answered without a certificate: ${plain.stdout}`)
  const open = await coord.ssh(
    `curl -s -m 5 -o /dev/null -w '%{http_code}' http://${worker.address}:7700/v1/shards`,
  )
  expect(open.stdout === '401', `the API answered ${open.stdout} without a token`)
  const secrets = await worker.ssh('find /etc/hakiri /var/lib/hakiri -perm /o+rwx ! -type l')
  expect(secrets.stdout === '', `others may use ${secrets.stdout}`)
}

/** What curl ends with when nobody answers, or not to us. */
const FAILED = [7, 16, 28, 35, 52, 56]
