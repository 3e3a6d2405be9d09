/** The rows of `hakiri coord` and `hakiri ctl` in the command table. */
import type { CommandSpec, OptionSpec } from '../../command.ts'
import { CLIENT_OPTIONS, NODE_OPTIONS } from '../../coord/settings.ts'

const FOLDER = '--data <folder>'
const PREFIX: OptionSpec = { flags: '--prefix', summary: 'all keys that begin like this' }

const ctl = (spec: CommandSpec): CommandSpec => ({
  ...spec,
  usage: `ctl ${spec.usage}`,
  options: [...(spec.options ?? []), ...CLIENT_OPTIONS],
})

const members = () => import('./members.ts')
const status = () => import('./status.ts')
const keys = () => import('./keys.ts')
const offline = () => import('./offline.ts')

export const COORD_ROWS: readonly CommandSpec[] = [
  {
    usage: 'coord',
    summary: 'Run a member of the coordinator: leases and assignments for workers.',
    options: NODE_OPTIONS,
    examples: [
      'hakiri coord',
      'hakiri coord --bind 0.0.0.0:7701 --peers c1:7701,c2:7701,c3:7701 --tls-cert c.pem --tls-key c.key --tls-ca ca.pem',
      'hakiri coord --bind 0.0.0.0:7701 --join c1:7701,c2:7701 --insecure',
    ],
    drains: 'after handing leadership over',
    load: async () => (await import('../coord.ts')).coord,
  },
  ctl({
    usage: 'status',
    summary: 'Every member at --endpoints: role, term, index, data, problems.',
    examples: ['hakiri ctl status', 'hakiri ctl status --endpoints c1:7701,c2:7701,c3:7701'],
    load: async () => (await status()).status,
  }),
  ctl({
    usage: 'members',
    summary: 'Who belongs to the cluster.',
    examples: ['hakiri ctl members --json'],
    load: async () => (await members()).members,
  }),
  ctl({
    usage: 'member add <address>',
    summary: 'Take a new member in, as a learner that becomes a voter by itself.',
    options: [{ flags: '--voter', summary: 'as a voter at once' }],
    examples: ['hakiri ctl member add c4:7701'],
    load: async () => (await members()).memberAdd,
  }),
  ctl({
    usage: 'member remove <id>',
    summary: 'Let a member go.',
    examples: ['hakiri ctl member remove 8211f1d0f64f3269'],
    load: async () => (await members()).memberRemove,
  }),
  ctl({
    usage: 'member replace <id> [address]',
    summary: 'Let a new member take the place of another, gone or not, once it has caught up.',
    examples: [
      'hakiri ctl member replace 8211f1d0f64f3269',
      'hakiri ctl member replace 8211f1d0f64f3269 c4:7701',
    ],
    load: async () => (await members()).memberReplace,
  }),
  ctl({
    usage: 'member promote <id>',
    summary: 'Make a learner that has caught up a voter now.',
    examples: ['hakiri ctl member promote 8211f1d0f64f3269'],
    load: async () => (await members()).memberPromote,
  }),
  ctl({
    usage: 'move-leader <id>',
    summary: 'Hand leadership to this member.',
    examples: ['hakiri ctl move-leader 8211f1d0f64f3269'],
    load: async () => (await members()).moveLeader,
  }),
  ctl({
    usage: 'leases',
    summary: 'All leases with what remains of them.',
    examples: ['hakiri ctl leases'],
    load: async () => (await import('./leases.ts')).leases,
  }),
  ctl({
    usage: 'get <key> [end]',
    summary: 'Read a key, a range or a prefix.',
    options: [
      PREFIX,
      { flags: '--rev <n>', summary: 'as of this revision' },
      { flags: '--limit <n>', summary: 'so many keys at most' },
      { flags: '--keys-only', summary: 'leave the values out' },
    ],
    examples: ['hakiri ctl get a', 'hakiri ctl get --prefix claims/'],
    load: async () => (await keys()).get,
  }),
  ctl({
    usage: 'put <key> <value>',
    summary: 'Write a key.',
    options: [{ flags: '--lease <id>', summary: 'gone with this lease' }],
    examples: ['hakiri ctl put a b'],
    load: async () => (await keys()).put,
  }),
  ctl({
    usage: 'del <key> [end]',
    summary: 'Delete a key, a range or a prefix.',
    options: [PREFIX],
    examples: ['hakiri ctl del a', 'hakiri ctl del --prefix test/'],
    load: async () => (await keys()).del,
  }),
  ctl({
    usage: 'watch <key> [end]',
    summary: 'Show every change until Ctrl-C.',
    options: [
      PREFIX,
      { flags: '--rev <n>', summary: 'from this revision on' },
      { flags: '--prev-kv', summary: 'with what was there before' },
    ],
    examples: ['hakiri ctl watch --prefix claims/'],
    load: async () => (await keys()).watch,
  }),
  ctl({
    usage: 'compact <revision>',
    summary: 'Drop history before a revision.',
    examples: ['hakiri ctl compact 1200'],
    load: async () => (await keys()).compact,
  }),
  ctl({
    usage: 'hash',
    summary: 'Compare the state of all members at --endpoints.',
    examples: ['hakiri ctl hash --endpoints c1:7701,c2:7701,c3:7701'],
    load: async () => (await status()).hash,
  }),
  ctl({
    usage: 'doctor',
    summary: 'Look at the members and say what is wrong.',
    examples: ['hakiri ctl doctor --endpoints c1:7701,c2:7701,c3:7701'],
    load: async () => (await status()).doctor,
  }),
  ctl({
    usage: 'snapshot save <file>',
    summary: 'Write the state of the first of --endpoints to a file.',
    examples: ['hakiri ctl snapshot save backup.db'],
    load: async () => (await import('./snapshot-save.ts')).snapshotSave,
  }),
  {
    usage: 'ctl snapshot restore <file>',
    summary: 'Make the data folder of a new cluster from a snapshot; nothing may run on it.',
    options: [
      { flags: FOLDER, summary: 'an empty folder', fallback: '.hakiri/coord' },
      {
        flags: '--peers <addresses>',
        summary: 'all members of the new cluster, as for `hakiri coord`; https://… with TLS',
      },
      { flags: '--advertise <address>', summary: 'which of them this folder is for' },
      { flags: '--cluster-token <text>', summary: 'as for `hakiri coord`' },
      {
        flags: '--bump-revision <n>',
        summary: 'revisions to leave out, so that none comes twice',
        fallback: '1000000',
      },
    ],
    examples: ['hakiri ctl snapshot restore backup.db --data .hakiri/coord'],
    load: async () => (await offline()).snapshotRestore,
  },
  {
    usage: 'ctl recover',
    summary: 'Make this one member a cluster of its own after the majority is lost for good.',
    options: [
      { flags: FOLDER, summary: 'the folder of the stopped member', fallback: '.hakiri/coord' },
      { flags: '--force', summary: 'say that what the others alone knew may be lost' },
      {
        flags: '--advertise <address>',
        summary: 'where it will be reached; https://… with TLS',
        fallback: '127.0.0.1:7701',
      },
      { flags: '--cluster-token <text>', summary: 'as for `hakiri coord`' },
      {
        flags: '--bump-revision <n>',
        summary: 'revisions to leave out, so that none comes twice',
        fallback: '1000000',
      },
    ],
    examples: ['hakiri ctl recover --force --data .hakiri/coord'],
    load: async () => (await offline()).recover,
  },
]
